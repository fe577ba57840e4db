"""What is chosen is an engine by the contract."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from granian_d.engine.choose import choose, is_compiled, resolve
from granian_d.engine.contract import Endpoint
from granian_d.errors import ConfigError, EngineMissing
from tests.wire.harness import ENGINES, Line, answer_ok

NATIVE = "granian_d.engine.native.h1"


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without compiled parts: None is how Python notes a module that is not there."""
    monkeypatch.setitem(sys.modules, NATIVE, None)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_chosen_engine_makes_endpoints(engine: str) -> None:
    endpoint = Line(choose(engine), answer_ok).endpoint
    assert type(endpoint).__module__ == f"granian_d.engine.{engine}.h1"
    operations = [name for name in vars(Endpoint) if not name.startswith("_")]
    assert operations
    for name in [*operations, "deadline"]:
        assert hasattr(endpoint, name)


@pytest.mark.skipif(not os.environ.get("CI"), reason="a machine of a user may have no C compiler")
def test_the_native_engine_is_tested_in_ci() -> None:
    """Not left out in silence: every test of the wire is to run on it."""
    assert is_compiled()
    assert set(ENGINES) == {"pure", "native"}


def test_auto_is_the_native_engine_where_there_is_one() -> None:
    assert resolve("auto") == ("native" if "native" in ENGINES else "pure")
    for engine in ENGINES:
        assert resolve(engine) == engine


@pytest.mark.usefixtures("interpreted")
def test_auto_is_the_pure_engine_elsewhere() -> None:
    assert resolve("auto") == "pure"
    assert resolve("pure") == "pure"
    assert choose("auto") is choose("pure")


@pytest.mark.usefixtures("interpreted")
def test_the_native_engine_is_not_replaced_in_silence() -> None:
    for refuse in (resolve, choose):
        with pytest.raises(EngineMissing, match="apt install gcc python3-dev"):
            refuse("native")
    assert issubclass(EngineMissing, ConfigError), "another try would not help"


def modules_of(code: str) -> set[str]:
    """What a new interpreter has imported by running `code`."""
    code = (
        "import sys, asyncio; before = set(sys.modules);"
        f"{code};"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("engine", ENGINES)
def test_worker_side_modules_stay_light(engine: str) -> None:
    """What is imported is resident in every worker."""
    names = modules_of(f"from granian_d.engine.choose import choose; choose({engine!r})")
    assert f"granian_d.engine.{engine}.h1" in names
    heavy = {"email", "http", "urllib", "tempfile", "pathlib", "logging", "ipaddress", "json"}
    assert not heavy & {name.partition(".")[0] for name in names if "granian_d" not in name}


def test_an_engine_that_is_not_chosen_is_not_imported() -> None:
    names = modules_of("from granian_d.engine.choose import choose; choose('pure')")
    assert "h11" in names
    assert NATIVE not in names
