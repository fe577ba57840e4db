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


@pytest.fixture
def installed(tmp_path):
    """The units, with the daemon where this environment has it."""
    programs = Path(sys.executable).parent
    for unit in UNITS.glob("granian@.*"):
        text = re.sub(
            "^(Exec[A-Z][a-z]+=)(granian)",
            rf"\1{programs}/\2",
            unit.read_text(),
            flags=re.MULTILINE,
        )
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_systemd_finds_no_fault_in_the_units(installed):
    if shutil.which("systemd-analyze") is None:
        assert os.environ.get("CI") != "true", "CI has systemd-analyze"
        pytest.skip("systemd-analyze is not here (Debian package systemd)")
    units = [str(installed / "granian@.service"), str(installed / "granian@.socket")]
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def setting(name: str) -> str:
    text = (UNITS / "granian@.service").read_text()
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_manager_waits_longer_than_a_drain():
    from granian_d.settings.model import Settings

    drain_s = Settings.model_fields["workers_kill_timeout"].default
    assert int(setting("TimeoutStopSec")) > int(drain_s) + 5


def test_what_cannot_be_used_is_not_tried_again():
    from granian_d.errors import ConfigError

    assert setting("RestartPreventExitStatus") == str(ConfigError.exit_code)


def test_a_reload_is_over_when_the_unit_says_so():
    from granian_d.cli.granianctl import _parser

    program, *words = setting("ExecReload").split()
    arguments = _parser().parse_args(words)
    assert (program, arguments.command, arguments.wait) == ("granianctl", "reload", True)
    assert setting("RuntimeDirectory")  # in which granianctl finds the daemon


def test_only_the_master_is_told_to_stop():
    assert setting("KillMode") == "mixed"
    assert setting("Type") == "notify"


def test_the_manager_keeps_what_a_restart_needs():
    """Each listener takes a place, the scoreboard and the ticket keys one each."""
    assert int(setting("FileDescriptorStoreMax")) >= 16
