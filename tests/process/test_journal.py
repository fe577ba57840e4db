"""A daemon under a journal: the test is journald, with its socket and its end of standard error."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile

import pytest

from granian_d.observe.events import MESSAGE_IDS
from tests.journal import FakeJournal
from tests.process.daemon import Connection, Daemon, fetch, wait_until

# What a manager does before it runs the daemon: standard error is a stream to the journal, and
# JOURNAL_STREAM says so. The journal's own socket is elsewhere than on a real machine.
UNDER_A_JOURNAL = """
import os, socket, sys
from granian_d.systemd import journal
journal.SOCKET = sys.argv.pop(1)
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv.pop(1))
os.dup2(stream.fileno(), 2)
del stream
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
from granian_d.cli.serve import main
sys.exit(main())
"""

CRASHES = """

served = app


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/crash":
        raise ValueError("no database\\nMESSAGE=forged")
    await served(scope, receive, send)
"""


class Journald:
    """The entries and the lines that it has got."""

    def __init__(self, directory: str) -> None:
        self.native, self.stdout = f"{directory}/socket", f"{directory}/stdout"
        self.entries: list[dict[str, str]] = []
        self.text = ""
        self._native: FakeJournal | None = FakeJournal(self.native)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.stdout)
        self._listener.listen()
        self._listener.setblocking(False)
        self._streams: list[socket.socket] = []

    def look(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                stream, _ = self._listener.accept()
                stream.setblocking(False)
                self._streams.append(stream)
        for stream in self._streams:
            with contextlib.suppress(BlockingIOError):
                while octets := stream.recv(65536):
                    self.text += octets.decode()
        if self._native is not None:
            self.entries += self._native.heard()

    def of(self, event: str) -> list[dict[str, str]]:
        self.look()
        return [entry for entry in self.entries if entry.get("GRANIAN_EVENT") == event]

    def wait_for(self, event: str, count: int = 1) -> dict[str, str]:
        """The last of `count` entries of an event."""
        wait_until(lambda: len(self.of(event)) >= count, lambda: f"no {event} in {self.entries}")
        return self.of(event)[count - 1]

    def wait_for_line(self, text: str) -> None:
        wait_until(lambda: self.look() or text in self.text, lambda: f"{text!r} not in {self.text}")

    def go(self) -> None:
        """Be stopped."""
        self.look()
        assert self._native is not None
        self._native.close()
        os.unlink(self.native)
        self._native = None

    def come(self) -> None:
        """Be started again."""
        self._native = FakeJournal(self.native)

    def close(self) -> None:
        for end in (self._native, self._listener, *self._streams):
            if end is not None:
                end.close()


@pytest.fixture
def journald():
    directory = tempfile.mkdtemp(prefix="gd")
    journald = Journald(directory)
    yield journald
    journald.close()
    shutil.rmtree(directory)


@pytest.fixture
def start(make_daemon, deploy, journald):
    """Start a daemon under this journal; its port."""

    def start(workers: int = 1, more: str = "", **environ: str) -> tuple[Daemon, int]:
        deploy("one", CRASHES)
        daemon = make_daemon(workers, more, environ=environ)
        daemon.program = ("-c", UNDER_A_JOURNAL, journald.native, journald.stdout)
        daemon.start()
        daemon.wait_for("READY=1")
        journald.wait_for("worker_ready", workers)
        address = journald.wait_for("listening")["GRANIAN_ADDRESS"]
        return daemon, int(address.rpartition(":")[2])

    return start


def test_the_life_of_a_daemon_in_entries(start, journald):
    daemon, _ = start(2, INVOCATION_ID="ab" * 16)
    daemon.signal("HUP")
    journald.wait_for("reload_done")
    daemon.signal("TERM")
    stopped = journald.wait_for("stopped")  # read all the while: its queue may hold but ten
    assert daemon.wait() == 0
    (ready,) = journald.of("ready")
    assert (ready["MESSAGE_ID"], ready["PRIORITY"]) == (MESSAGE_IDS["ready"], "6")
    assert (ready["GENERATION"], ready["GRANIAN_WORKERS"]) == ("1", "2")
    assert ready["MESSAGE"].startswith("Ready: generation 1 serves")
    (reloaded,) = journald.of("reload_done")
    assert (reloaded["MESSAGE_ID"], reloaded["GENERATION"]) == (MESSAGE_IDS["reload_done"], "2")
    assert stopped["MESSAGE_ID"] == MESSAGE_IDS["stopped"]
    assert {entry["SYSLOG_IDENTIFIER"] for entry in journald.entries} == {"granian-d"}
    assert {entry["INVOCATION_ID"] for entry in journald.entries} == {"ab" * 16}
    second = [entry["GRANIAN_EVENT"] for entry in journald.entries if entry.get("WORKER") == "2"]
    assert second.count("worker_spawned") == second.count("worker_ready") == 2
    assert journald.text == ""  # nothing is said twice


def test_a_crash_of_the_application_names_its_worker_and_its_line(start, journald, tmp_path):
    _, port = start()
    assert fetch(("127.0.0.1", port), "/crash").status == 500
    entry = journald.wait_for("application_crashed")
    lines = (tmp_path / "served.py").read_text().splitlines()
    assert entry["CODE_FILE"] == str(tmp_path / "served.py")
    assert "no database" in lines[int(entry["CODE_LINE"]) - 1]
    assert (entry["CODE_FUNC"], entry["WORKER"], entry["GENERATION"]) == ("app", "1", "1")
    assert entry["MESSAGE"].endswith("ValueError: no database\nMESSAGE=forged")


def test_a_start_that_fails_says_why_and_where(make_daemon, deploy, journald, tmp_path):
    deploy("one", "\nraise RuntimeError('no settings')\n")
    daemon = make_daemon(1)
    daemon.program = ("-c", UNDER_A_JOURNAL, journald.native, journald.stdout)
    daemon.start()
    assert daemon.wait() != 0
    entry = journald.wait_for("boot_failed")
    assert entry["MESSAGE_ID"] == MESSAGE_IDS["boot_failed"]
    assert entry["MESSAGE"].endswith("RuntimeError: no settings")
    (entry,) = journald.of("worker_failed")
    assert "\nTraceback (most recent call last):\n" in entry["MESSAGE"]
    assert entry["CODE_FILE"] == str(tmp_path / "served.py")
    assert entry["GRANIAN_REASON"].endswith("RuntimeError: no settings")


def test_a_start_that_fails_at_once_is_said_on_the_stream(make_daemon, journald):
    """journald knows whose stream it is, also when the process has gone before it reads."""
    daemon = make_daemon(1, "workers_kill_timeout = -1")
    daemon.program = ("-c", UNDER_A_JOURNAL, journald.native, journald.stdout)
    daemon.start()
    assert daemon.wait() == 78
    journald.wait_for_line("<2>Could not start: ")
    assert journald.entries == []


def test_while_there_is_no_journal_lines_go_to_standard_error(start, journald):
    daemon, port = start()
    journald.go()
    daemon.signal("USR1")
    journald.wait_for_line("<6>Log files reopened\n")
    assert fetch(("127.0.0.1", port), "/crash").status == 500
    journald.wait_for_line("<3>ValueError: no database\n")
    journald.come()
    daemon.signal("USR1")
    journald.wait_for("reopened")
    assert fetch(("127.0.0.1", port), "/crash").status == 500
    journald.wait_for("application_crashed")
    assert journald.text.count("Log files reopened") == 1


ACCESS = '[access_log]\nenabled = true\nformat = "journal"\nfmt = "%(method)s %(path)s"\n'


def test_requests_are_entries(start, journald, tmp_path):
    daemon, port = start(1, ACCESS)
    fetch(("127.0.0.1", port), "/a?token=hunter2", headers={"X-Request-ID": "r-17"})
    entry = journald.wait_for("access")
    assert entry["MESSAGE"] == "GET /a"
    facts = ("REQUEST_METHOD", "REQUEST_PATH", "STATUS", "REMOTE_ADDR", "REQUEST_ID", "WORKER")
    assert [entry[fact] for fact in facts] == ["GET", "/a", "200", "127.0.0.1", "r-17", "1"]
    assert int(entry["DURATION_US"]) > 0
    assert "hunter2" not in str(journald.entries)
    assert daemon.stop() == 0
    assert (tmp_path / "stdout.log").read_text() == ""


def test_a_journal_that_does_not_read_costs_no_request_and_no_line(start, journald, tmp_path):
    """What it has no room for goes where the lines of an access log go without a journal."""
    daemon, port = start(1, ACCESS)
    connection = Connection(("127.0.0.1", port))
    out = tmp_path / "stdout.log"
    asked = 0
    while "GET " not in out.read_text():
        assert connection.ask(f"/{asked}").status == 200
        asked += 1
    connection.close()
    assert daemon.stop() == 0
    wait_until(lambda: len(journald.of("access")) + out.read_text().count("GET ") == asked)
    paths = [entry["REQUEST_PATH"] for entry in journald.of("access")]
    assert paths == [f"/{number}" for number in range(len(paths))]


def test_a_manager_that_debugs_gets_debug_messages(start, journald):
    """DEBUG_INVOCATION (systemd.exec(5)) is for this start; the level in the file is for all."""
    _, port = start(1, '[log]\nlevel = "warning"\n', DEBUG_INVOCATION="1")
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b" 400 " in sock.recv(65536)
    assert journald.wait_for("request_refused")["PRIORITY"] == "7"
