"""Which loop a name stands for, and what a program makes of the names."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import uvloop

from granian_d import event_loops
from granian_d.errors import ConfigurationError
from granian_d.event_loops import Registry
from granian_d.worker import loop


@pytest.fixture
def make():
    made = []

    def one(name):
        made.append(loop.make(name))
        return made[-1]

    yield one
    for each in made:
        each.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def installed(monkeypatch):
    """Have only these packages installed."""

    def only(*names):
        monkeypatch.setattr(event_loops, "find_spec", lambda name: name if name in names else None)

    return only


@pytest.mark.parametrize(
    ("name", "kind"), [("asyncio", asyncio.SelectorEventLoop), ("uvloop", uvloop.Loop)]
)
def test_a_loop_of_that_kind(make, name, kind):
    made = make(name)
    assert isinstance(made, kind)
    assert not made.is_running()

    async def current():
        return asyncio.get_running_loop()

    assert made.run_until_complete(current()) is made


def test_each_worker_has_its_own(make):
    assert make("auto") is not make("auto")


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("name", "loaded"), [("uvloop", "True True"), ("asyncio", "False True")])
def test_preloading_imports_what_is_needed_and_no_more(name, loaded):
    code = (
        "import sys; from granian_d.worker import loop; before = 'uvloop' in sys.modules; "
        f"loop.preload({name!r}); assert not before; "
        "print('uvloop' in sys.modules, 'asyncio' in sys.modules)"
    )
    assert in_a_new_process(code) == f"{loaded}\n"


@pytest.mark.parametrize(
    ("names", "auto"),
    [
        (("asyncio", "rloop", "uvloop"), "rloop"),
        (("asyncio", "uvloop"), "uvloop"),
        (("asyncio", "winloop"), "asyncio"),
    ],
)
def test_what_auto_is(installed, names, auto):
    installed(*names)
    assert Registry().resolve("auto") == auto


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rloop", "rloop is not installed; there are auto, asyncio, uvloop"),
        ("winloop", "winloop is for Windows; uvloop is its counterpart here"),
        ("other", "other is no loop; there are auto, asyncio, uvloop"),
    ],
)
def test_what_there_is_not(installed, name, reason):
    installed("asyncio", "uvloop")
    with pytest.raises(ConfigurationError, match=reason):
        Registry().get(name)
    with pytest.raises(RuntimeError):
        Registry().get(name)


def test_a_program_adds_one_and_takes_the_place_of_another():
    loops = Registry()

    @loops.register("mine", packages=["json", "os.path"])
    def build(**packages):
        return packages

    @loops.register("auto")
    def build_auto():
        return "of the program"

    assert set(build(json=1)) == {"json"}
    assert set(loops.get("mine")) == {"json", "os.path"}
    assert loops.get("auto") == "of the program"
    assert loops.resolve("auto") == "auto"
    assert [loops.is_registered(name) for name in ("mine", "auto", "asyncio")] == [
        True,
        True,
        False,
    ]
    assert {"mine", "auto"} <= set(loops.keys())


def test_what_needs_a_package_that_is_not_there_is_not_registered():
    loops = Registry()
    loops.register("asyncio", packages=["not_there"])(lambda: "never")
    loops.register("other", packages=["json.not_there.at_all"])(lambda: "never")
    assert not loops.is_registered("asyncio")
    assert "other" not in loops
