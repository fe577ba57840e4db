"""What is chosen is an engine by the contract."""

from __future__ import annotations

from granian_d.engine.choose import choose
from granian_d.engine.contract import Endpoint
from tests.wire.harness import Line, answer_ok


def test_the_chosen_engine_makes_endpoints() -> None:
    endpoint = Line(choose(), answer_ok).endpoint
    operations = [name for name in vars(Endpoint) if not name.startswith("_")]
    assert operations
    for name in [*operations, "deadline"]:
        assert hasattr(endpoint, name)


def test_worker_side_modules_stay_light() -> None:
    """What is imported is resident in every worker."""
    import subprocess
    import sys

    code = (
        "import sys, asyncio; before = set(sys.modules);"
        "import granian_d.engine.choose;"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    names = run.stdout.split()
    assert "granian_d.engine.pure.h1" in names
    heavy = {"email", "http", "urllib", "tempfile", "pathlib", "logging", "ipaddress", "json"}
    assert not heavy & {name.partition(".")[0] for name in names if "granian_d" not in name}
