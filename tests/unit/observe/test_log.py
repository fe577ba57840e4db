"""The daemon's own log, read back from the descriptor it was written to."""

from __future__ import annotations

import json
import os
import re

import pytest

from granian_d.observe import log as log_module
from granian_d.observe.events import EVENTS, LEVELS
from granian_d.observe.log import Log, LogFile, stderr_is_journal
from tests.unit.plan import specimens

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"


@pytest.fixture
def written(tmp_path):
    """Make a Log with these facts of its plan; what it wrote is `log.read()`."""
    path = tmp_path / "a.log"

    class ReadLog(Log):
        def read(self) -> str:
            return path.read_bytes().decode()

    files = []

    def make(*, journal: bool = False, who=None, **plan) -> Log:
        file = LogFile(str(path), -1)
        files.append(file)
        who = {} if who is None else {"who": who}
        return ReadLog(specimens.log_plan(**plan), file, journal=journal, **who)

    yield make
    for file in files:
        file.close()


def test_text(written):
    log = written(format="text")
    log.event("listening", address="http://127.0.0.1:80")
    assert re.fullmatch(rf"{STAMP} \[INFO\] Listening at: http://127.0.0.1:80\n", log.read())


def test_auto_is_text_away_from_the_journal(written):
    log = written(format="auto")
    log.event("quitting")
    assert re.fullmatch(rf"{STAMP} \[WARNING\] .*\n", log.read())


def test_every_line_for_the_journal_has_a_priority_and_no_stamp(written):
    log = written(format="auto", journal=True)
    log.event("application_crashed", traceback="Traceback:\n  line\nValueError: x")
    log.event("stopped")
    lines = log.read().splitlines()
    assert lines[1:] == ["<3>Traceback:", "<3>  line", "<3>ValueError: x", *lines[-1:]]
    assert lines[0].startswith("<3>Application callable")
    assert lines[-1].startswith("<6>")
    assert log.read().endswith("\n")


@pytest.mark.parametrize("reason", ["", "\n", "a\r\nb\n", "a\x0bb\x0cc", "a\u2028b"])
def test_no_line_for_the_journal_lacks_its_priority(written, reason):
    """Whatever breaks a line for anybody, a line without a priority would be stored as `info`."""
    log = written(format="auto", journal=True)
    log.event("loop_error", reason=reason)
    assert log.read()
    assert all(line.startswith("<3>") for line in log.read().splitlines())


def test_a_file_gets_no_priorities_even_under_systemd(written):
    log = written(format="auto", journal=True, file="/var/log/a.log")
    log.event("stopped")
    assert re.match(STAMP, log.read())


def test_text_stays_text_in_the_journal_when_it_was_asked_for(written):
    log = written(format="text", journal=True)
    log.event("stopped")
    assert re.match(STAMP, log.read())


def test_json_is_one_object_a_line(written):
    log = written(format="json", journal=True, who={"worker": 2, "generation": 7})
    log.event("worker_failed", worker=3, reason="one\ntwo ö")
    log.event("stopped")
    first, second = [json.loads(line) for line in log.read().splitlines()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", first.pop("time"))
    assert first == {
        "level": "error",
        "event": "worker_failed",
        "pid": os.getpid(),
        "message": "Worker-3 could not start: one\ntwo ö",
        "worker": 3,
        "generation": 7,
        "reason": "one\ntwo ö",
    }
    assert second["worker"] == 2  # who it is, where the event names nobody


def test_json_says_what_it_can_of_a_strange_field(written):
    log = written(format="json")
    log.event("config_warning", reason=ValueError("odd"))
    assert json.loads(log.read())["reason"] == "odd"


@pytest.mark.parametrize("threshold", LEVELS)
def test_levels_below_the_wanted_one_are_silent(written, threshold):
    log = written(format="json", level=threshold)
    fields = {
        field: 0 for _, sentence in EVENTS.values() for field in re.findall(r"{(\w+)", sentence)
    }
    for name in EVENTS:
        log.event(name, **fields)
    wanted = [
        name for name, (level, _) in EVENTS.items() if LEVELS[level].rank >= LEVELS[threshold].rank
    ]
    assert [json.loads(line)["event"] for line in log.read().splitlines()] == wanted


def test_a_log_that_is_off_is_silent_also_about_the_worst(written):
    log = written(enabled=False, level="debug")
    log.event("boot_failed", reason="x")
    assert log.read() == ""


def test_bytes_that_are_no_text_are_escaped_not_fatal(written):
    log = written(format="text")
    log.event("config_warning", reason="a\udcffb")
    assert log.read().endswith("a\\udcffb\n")


# --- files ---------------------------------------------------------------------------------------


def test_a_closed_pipe_costs_the_line_and_nothing_else(capfd):
    reading, writing = os.pipe()
    os.close(reading)
    file = LogFile("", writing)
    try:
        file.write(b"lost\n")
    finally:
        os.close(writing)
    assert re.fullmatch(
        r"granian-d: a log line was lost: .*Broken pipe.*\n", capfd.readouterr().err
    )


def test_a_lost_standard_error_is_told_to_nobody(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(log_module, "STDERR", writing)
    try:
        LogFile("", writing).write(b"lost\n")
    finally:
        os.close(writing)


def test_reopening_follows_the_path_and_keeps_the_number(tmp_path):
    path = tmp_path / "a.log"
    file = LogFile(str(path), -1)
    number = file.fd
    file.write(b"one\n")
    path.rename(tmp_path / "a.log.1")
    file.write(b"two\n")
    file.reopen()
    file.write(b"three\n")
    assert (file.fd, os.get_inheritable(file.fd)) == (number, False)
    file.close()
    assert (tmp_path / "a.log.1").read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_reopening_leaks_nothing(tmp_path):
    file = LogFile(str(tmp_path / "a.log"), -1)
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        file.reopen()
    assert os.listdir("/proc/self/fd") == before
    file.close()


def test_when_reopening_fails_the_old_file_is_kept(tmp_path):
    room = tmp_path / "logs"
    room.mkdir()
    file = LogFile(str(room / "a.log"), -1)
    room.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        file.reopen()
    file.write(b"still\n")
    file.close()
    assert (tmp_path / "away/a.log").read_text() == "still\n"


def test_a_symlink_is_not_followed(tmp_path):
    """A log directory that others may write to must not lead us to another file."""
    (tmp_path / "a.log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        LogFile(str(tmp_path / "a.log"), -1)
    assert not (tmp_path / "victim").exists()


def test_a_file_is_appended_to_and_private(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("before\n")
    file = LogFile(str(path), -1)
    file.write(b"after\n")
    file.close()
    assert path.read_text() == "before\nafter\n"
    before = os.umask(0)
    try:
        LogFile(str(tmp_path / "new.log"), -1).close()
    finally:
        os.umask(before)
    assert (tmp_path / "new.log").stat().st_mode & 0o777 == 0o640


def test_standard_streams_are_neither_closed_nor_reopened():
    file = LogFile("", 2)
    file.reopen()
    file.close()
    os.fstat(2)
    assert file.fd == 2


def test_adopting_a_descriptor_replaces_the_file_behind_the_number(tmp_path):
    file = LogFile(str(tmp_path / "a.log"), -1)
    number = file.fd
    passed = os.open(tmp_path / "b.log", os.O_WRONLY | os.O_CREAT)
    file.adopt(passed)
    file.write(b"x\n")
    assert file.fd == number
    with pytest.raises(OSError):
        os.fstat(passed)
    file.close()
    assert (tmp_path / "b.log").read_text() == "x\n"


def test_the_journal_is_known_by_device_and_inode():
    status = os.fstat(2)
    here = f"{status.st_dev}:{status.st_ino}"
    assert stderr_is_journal({"JOURNAL_STREAM": here})
    for other in (f"{status.st_dev}:{status.st_ino + 1}", "", "x", "1", "1:x", f"{here}:1"):
        assert not stderr_is_journal({"JOURNAL_STREAM": other})
    assert not stderr_is_journal({})
