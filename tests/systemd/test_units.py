"""The units are what systemd understands, and say what the daemon does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
DROP_INS = UNITS / "granian@.service.d"
FILES = [path for path in UNITS.iterdir() if path.suffix in {".service", ".socket", ".slice"}]
# The first systemd that understands all of a drop-in, where the unit itself asks for less.
NEEDS = {"back-off": 254, "notify-reload": 253}
# What `systemd-analyze security` may say at most; 0 is perfect, 10 is no sandbox at all.
EXPOSURE = {(): 1.4, ("strict",): 1.1, ("strict", "unix-only"): 0.4, ("back-off", "socket"): 1.4}


@pytest.fixture
def install(tmp_path):
    """Install the units into a root of their own, with the drop-ins that are named."""

    def install(*drop_ins: str) -> Path:
        directory = tmp_path / "etc/systemd/system"
        (directory / DROP_INS.name).mkdir(parents=True)
        for unit in FILES:
            text = re.sub("^(Exec[A-Z][a-z]+=)", r"\1/bin/", unit.read_text(), flags=re.MULTILINE)
            (directory / unit.name).write_text(text)
        for name in drop_ins:
            shutil.copy(DROP_INS / f"{name}.conf", directory / DROP_INS.name)
        (tmp_path / "bin").mkdir()
        for program in ("granian-d", "granianctl"):
            shutil.copy(Path(sys.executable).parent / program, tmp_path / "bin")
        for target in ("sysinit", "shutdown", "network-online", "sockets"):
            (directory / f"{target}.target").write_text("[Unit]\nDescription=there\n")
        return tmp_path

    return install


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        assert os.environ.get("CI") != "true", "CI has systemd-analyze"
        pytest.skip("systemd-analyze is not here (Debian package systemd)")
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def version() -> int:
    """Of this systemd."""
    return int(analyze("--version").stdout.split()[1])


@pytest.mark.parametrize("name", ["", *sorted(path.stem for path in DROP_INS.iterdir())])
def test_systemd_finds_no_fault_in_the_units(install, name):
    if version() < NEEDS.get(name, 0):
        pytest.skip(f"this systemd is older than {NEEDS[name]}")
    root = install(*([name] if name else []))
    units = ("granian@app.service", "granian@app.socket")
    result = analyze("verify", "--man=no", "--recursive-errors=no", f"--root={root}", *units)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("drop_ins", EXPOSURE)
def test_the_service_is_exposed_no_more_than(install, drop_ins):
    root = install(*drop_ins)
    result = analyze("security", "--offline=true", f"--root={root}", "granian@app.service")
    found = re.search(r"Overall exposure level .*: ([0-9.]+) ", result.stdout)
    assert found is not None, result.stderr
    assert float(found[1]) <= EXPOSURE[drop_ins]


def setting(name: str) -> str:
    text = (UNITS / "granian@.service").read_text()
    found = re.search(rf"^{name}=([^\n]*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_manager_waits_longer_than_a_drain():
    from granian_d.settings import load

    drain_s = load(["main"], {}).settings.workers_kill_timeout
    assert int(setting("TimeoutStopSec")) > int(drain_s) + 5


def test_a_worker_that_hangs_is_replaced_before_the_watchdog_looks():
    from granian_d.settings import load

    stall_s = load(["main"], {}).settings.workers_stall_timeout
    # Fed until nobody has made progress for this long, it then waits once more as long.
    assert 2 * int(setting("WatchdogSec")) > int(stall_s) + 20


def test_what_cannot_be_used_is_not_tried_again():
    from granian_d.errors import ConfigError, LoadError

    given_up = setting("RestartPreventExitStatus").split()
    assert given_up == [str(error.exit_code) for error in (LoadError, ConfigError)]


def test_a_reload_is_over_when_the_unit_says_so():
    from granian_d.cli.granianctl import command_line

    program, *words = setting("ExecReload").split()
    arguments = command_line().parse_args(words)
    assert (program, arguments.command, arguments.wait) == ("granianctl", "reload", True)
    assert setting("RuntimeDirectory")  # in which granianctl finds the daemon


def test_only_the_master_is_told_to_stop():
    assert setting("KillMode") == "mixed"
    assert setting("Type") == "notify"


def test_the_manager_keeps_what_a_restart_needs():
    """Each listener takes a place, the scoreboard and the ticket keys one each."""
    assert int(setting("FileDescriptorStoreMax")) >= 16
