"""The pid file: ours, somebody's, nobody's."""

from __future__ import annotations

import os

import pytest

from granian_d.errors import ConfigError
from granian_d.supervisor import pid_file
from tests.unit.supervisor.processes import fork, status_of

OURS = os.getpid()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pid"


@pytest.fixture
def dead():
    """A pid that nobody has, though somebody had it."""
    pid = fork(lambda: None)
    status_of(pid)
    return pid


def test_it_holds_the_pid_and_can_be_read_by_all(path):
    before = os.umask(0)
    try:
        pid_file.write(str(path), OURS)
    finally:
        os.umask(before)
    assert path.read_text() == f"{OURS}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    pid_file.remove(str(path), OURS)
    assert not path.exists()


def test_no_path_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pid_file.write("", OURS)
    pid_file.remove("", OURS)
    assert os.listdir(tmp_path) == []


def test_a_stale_file_is_replaced(path, dead):
    path.write_text(f"{dead}\n")
    pid_file.write(str(path), OURS)
    assert path.read_text() == f"{OURS}\n"


@pytest.mark.parametrize(
    "text", ["", "\n", f"{OURS}\n", f" {OURS} "], ids=["empty", "blank", "ours", "spaced"]
)
def test_an_empty_file_or_our_own_is_replaced(path, text):
    path.write_text(text)
    pid_file.write(str(path), OURS)
    assert path.read_text() == f"{OURS}\n"


def test_a_running_process_is_named_and_its_file_left_alone(path):
    path.write_text(f"{os.getppid()}\n")
    with pytest.raises(ConfigError, match=f"pid_file {path}: process {os.getppid()} runs already"):
        pid_file.write(str(path), OURS)
    pid_file.remove(str(path), OURS)
    assert path.read_text() == f"{os.getppid()}\n"


@pytest.mark.parametrize("text", ["junk", "12x", "-1", "1.5", "1 2", "²", "\x00", "# a comment"])
def test_what_is_no_pid_file_is_left_alone(path, text):
    path.write_text(text)
    with pytest.raises(ConfigError, match="does not hold a process id"):
        pid_file.write(str(path), OURS)
    pid_file.remove(str(path), OURS)
    assert path.read_text() == text


def test_a_symlink_is_refused(path, tmp_path):
    """Whoever may write to the directory must not choose the file that we overwrite."""
    victim = tmp_path / "victim"
    victim.write_text("")
    path.symlink_to(victim)
    with pytest.raises(ConfigError, match=f"pid_file {path}"):
        pid_file.write(str(path), OURS)
    assert victim.read_text() == ""


@pytest.mark.parametrize("make", ["directory", "no directory"])
def test_a_file_that_cannot_be_written(tmp_path, make):
    path = tmp_path if make == "directory" else tmp_path / "no/a.pid"
    with pytest.raises(ConfigError, match=f"pid_file {path}: "):
        pid_file.write(str(path), OURS)
    pid_file.remove(str(path), OURS)


def test_removing_what_is_gone_is_nothing(path):
    pid_file.remove(str(path), OURS)
