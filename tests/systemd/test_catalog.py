"""The message catalog is one that systemd reads, and explains what it should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from string import Formatter

import pytest

from granian_d.observe.catalog import EXPLANATIONS
from granian_d.observe.entries import field_name
from granian_d.observe.events import EVENTS, MESSAGE_IDS

CATALOG = Path(__file__).parents[2] / "systemd" / "granian-d.catalog"


def journalctl(root: Path, *arguments: str) -> str:
    command = ["journalctl", f"--root={root}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def root(tmp_path):
    """Where journalctl finds this catalog and no other, without being root."""
    if shutil.which("journalctl") is None:
        assert os.environ.get("CI") != "true", "CI has journalctl"
        pytest.skip("journalctl is not here (Debian package systemd)")
    for directory in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (tmp_path / directory).mkdir(parents=True)
    shutil.copy(CATALOG, tmp_path / "usr/lib/systemd/catalog")
    journalctl(tmp_path, "--update-catalog")
    return tmp_path


def test_systemd_finds_each_entry_under_its_id(root):
    listed = dict(line.split(" ", 1) for line in journalctl(root, "--list-catalog").splitlines())
    assert listed == {
        MESSAGE_IDS[event]: f"granian-d: {subject}" for event, (subject, _) in EXPLANATIONS.items()
    }


def test_systemd_keeps_the_text(root):
    dumped = journalctl(root, "--dump-catalog")
    for _, text in EXPLANATIONS.values():
        assert " ".join(text.split()) in " ".join(dumped.split())


def test_every_event_worth_finding_is_explained_and_no_other():
    assert EXPLANATIONS.keys() == MESSAGE_IDS.keys()


@pytest.mark.parametrize("event", EXPLANATIONS)
def test_an_explanation_names_fields_that_its_event_has(event):
    fields = {field for _, field, _, _ in Formatter().parse(EVENTS[event][1]) if field}
    named = set(re.findall(r"@(\w+)@", EXPLANATIONS[event].text))
    assert named <= {field_name(field) for field in fields}
