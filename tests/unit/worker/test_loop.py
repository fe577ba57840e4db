"""Which loop a name stands for."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import uvloop

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


@pytest.mark.parametrize(
    ("name", "kind"),
    [("asyncio", asyncio.SelectorEventLoop), ("uvloop", uvloop.Loop), ("auto", uvloop.Loop)],
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


@pytest.mark.parametrize(
    ("name", "loaded"), [("uvloop", "True"), ("auto", "True"), ("asyncio", "False")]
)
def test_preloading_imports_what_is_needed_and_no_more(name, loaded):
    code = (
        "import sys; from granian_d.worker import loop; before = 'uvloop' in sys.modules; "
        f"loop.preload({name!r}); print(before, 'uvloop' in sys.modules)"
    )
    assert in_a_new_process(code) == f"False {loaded}\n"


def test_auto_is_asyncio_where_there_is_no_uvloop():
    code = (
        "import sys, importlib.util; from granian_d.worker import loop; "
        "loop.find_spec = lambda name: None; "
        "print(loop.resolve('auto'), loop.resolve('uvloop'))"
    )
    assert in_a_new_process(code) == "asyncio uvloop\n"
