"""Events and requests as entries of the journal, and what happens when it does not take them."""

from __future__ import annotations

import os
import re
import traceback

import pytest

from granian_d.http.exchange import Exchange
from granian_d.http.message import Peer, RequestHead
from granian_d.observe import entries
from granian_d.observe.access_entries import MOST_AGENT_CHARS, AccessEntries
from granian_d.observe.access_log import AccessLog
from granian_d.observe.entries import of_event
from granian_d.observe.events import EVENTS, LEVELS, MESSAGE_IDS
from granian_d.observe.log import Log, LogFile
from tests.journal import NAME
from tests.unit.plan import specimens


class Journal:
    """Takes entries while it is told to."""

    def __init__(self):
        self.entries = []
        self.takes = True

    def send(self, fields):
        assert all(NAME.fullmatch(name.encode()) for name in fields)
        assert all(isinstance(value, str) for value in fields.values())
        if self.takes:
            self.entries.append(dict(fields))
        return self.takes


class Pipe:
    """What stands for standard error: a pipe, so that it can be full."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.file = LogFile("", self.writing)

    def read(self) -> str:
        try:
            return os.read(self.reading, 1 << 20).decode()
        except BlockingIOError:
            return ""

    def fill(self):
        while self.file.lost == 0:
            self.file.write(b"x" * 4000 + b"\n")


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    os.close(pipe.reading)
    os.close(pipe.writing)


@pytest.fixture
def make_log(journal, pipe):
    def make(*, reads=True, who=None, **plan):
        plan = specimens.log_plan(**plan)
        return Log(plan, pipe.file, journal=reads, who=who, send=journal.send)

    return make


# --- events --------------------------------------------------------------------------------------


def test_an_event_with_its_fields(make_log, journal, pipe):
    log = make_log(who={"worker": 2, "generation": 7})
    log.event("worker_died", worker=3, pid=99, how="signal 9")
    assert journal.entries == [
        {
            "MESSAGE": "Unexpected exit from worker-3 (PID 99): signal 9",
            "PRIORITY": "3",
            "GRANIAN_EVENT": "worker_died",
            "MESSAGE_ID": MESSAGE_IDS["worker_died"],
            "WORKER": "3",
            "GENERATION": "7",
            "GRANIAN_PID": "99",
            "GRANIAN_HOW": "signal 9",
        }
    ]
    assert pipe.read() == ""


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_can_be_sent(make_log, journal, name):
    level, sentence = EVENTS[name]
    fields = dict.fromkeys(re.findall(r"{(\w+)", sentence), 0)
    make_log(level="debug").event(name, **fields)
    (entry,) = journal.entries
    assert entry["PRIORITY"] == str(LEVELS[level].priority)
    assert entry.get("MESSAGE_ID") == MESSAGE_IDS.get(name)


def test_message_ids_are_those_of_events_and_no_two_are_alike():
    assert MESSAGE_IDS.keys() <= EVENTS.keys()
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)
    # Random ones: version 4, variant 1 (RFC 9562 5.4).
    assert all(
        re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", i) for i in MESSAGE_IDS.values()
    )


def test_a_level_that_is_not_wanted_is_not_sent(make_log, journal):
    make_log(level="error").event("stopped")
    make_log(enabled=False).event("boot_failed", reason="x")
    assert journal.entries == []


@pytest.mark.parametrize(
    "plan", [{"format": "text"}, {"format": "json"}, {"file": "/x"}, {"reads": False}]
)
def test_only_where_the_journal_reads_and_nothing_else_is_asked_for(make_log, journal, pipe, plan):
    make_log(**plan).event("stopped")
    assert journal.entries == []
    assert "shutdown completed" in pipe.read()


# --- tracebacks ----------------------------------------------------------------------------------


def crash(error: BaseException) -> dict[str, str]:
    text = "".join(traceback.format_exception(error)).rstrip()
    return of_event(
        "application_crashed", LEVELS["error"], f"It failed\n{text}", {"traceback": text}
    )


def test_the_frame_of_the_application_is_named():
    """Not that of Python's own, which is the innermost."""
    try:
        re.compile("(")
    except re.error as error:
        entry = crash(error)
    here = test_the_frame_of_the_application_is_named.__code__
    assert entry["CODE_FILE"] == __file__
    assert entry["CODE_LINE"] == str(here.co_firstlineno + 3)
    assert entry["CODE_FUNC"] == here.co_name
    assert "GRANIAN_TRACEBACK" not in entry
    assert entry["MESSAGE"].endswith("re.error: missing ), unterminated subpattern at position 0")


def place(*paths: str) -> tuple[str | None, str | None, str | None]:
    lines = [f'  File "{path}", line {n}, in f{n}\n    x()\n' for n, path in enumerate(paths, 1)]
    text = f"Traceback (most recent call last):\n{''.join(lines)}ValueError: x"
    entry = of_event("loop_error", LEVELS["error"], text, {})
    return entry.get("CODE_FILE"), entry.get("CODE_LINE"), entry.get("CODE_FUNC")


def test_which_frame_it_is():
    installed = "/venv/lib/python3.12/site-packages/starlette/routing.py"
    own = entries.__file__
    assert place("/srv/a.py", "/srv/b.py", installed) == ("/srv/b.py", "2", "f2")
    assert place(installed, "/srv/a.py", os.__file__, own) == ("/srv/a.py", "2", "f2")
    assert place("/srv/a.py", "granian_d/interface/calls.py", "uvloop/loop.pyx")[0] == "/srv/a.py"
    assert (
        place(installed, own, "<frozen importlib._bootstrap>")[0] == "<frozen importlib._bootstrap>"
    )
    assert place() == (None, None, None)


def test_a_group_of_exceptions_and_a_fault_of_syntax():
    try:
        try:
            raise ValueError("inner")
        except ValueError as inner:
            raise ExceptionGroup("several", [inner]) from None
    except ExceptionGroup as group:
        entry = crash(group)
    assert entry["CODE_FILE"] == __file__
    try:
        compile("x = = 1", "/srv/broken.py", "exec")
    except SyntaxError as error:
        entry = crash(error)
    assert (entry["CODE_FILE"], entry["CODE_LINE"]) == ("/srv/broken.py", "1")
    assert "CODE_FUNC" not in entry


def test_an_exception_may_not_print_without_end():
    text = "begin\n" + "x" * (4 * entries.MOST_CHARS) + "\nend"
    entry = of_event("loop_error", LEVELS["error"], text, {"reason": text[6:]})
    assert len(entry["MESSAGE"]) < entries.MOST_CHARS + 100
    assert entry["MESSAGE"].startswith("begin\n")
    assert entry["MESSAGE"].endswith("\nend")
    assert len(entry["GRANIAN_REASON"]) == entries.MOST_CHARS


def test_of_several_lines_a_field_has_the_first_and_the_message_all():
    entry = of_event("worker_failed", LEVELS["error"], "It: one\ntwo", {"reason": "one\ntwo"})
    assert (entry["GRANIAN_REASON"], entry["MESSAGE"]) == ("one", "It: one\ntwo")


# --- a journal that does not take them -------------------------------------------------------------


def test_what_is_not_taken_is_written_with_priorities(make_log, journal, pipe):
    log = make_log()
    journal.takes = False
    log.event("application_crashed", traceback="Traceback\nValueError: x")
    assert pipe.read() == (
        "<3>Application callable raised an exception\n<3>Traceback\n<3>ValueError: x\n"
    )
    journal.takes = True
    log.event("stopped")
    assert [entry["GRANIAN_EVENT"] for entry in journal.entries] == ["stopped"]
    assert pipe.read() == ""


def test_what_nobody_takes_is_counted_and_said(make_log, journal, pipe):
    log = make_log()
    pipe.fill()
    journal.takes = False
    log.event("stopped")
    assert pipe.file.lost == 2
    journal.takes = True
    log.event("stopped")
    lost, stopped = journal.entries
    assert lost == {"MESSAGE": "2 log lines were lost here", "PRIORITY": "4"}
    assert stopped["GRANIAN_EVENT"] == "stopped"
    log.event("stopped")
    assert len(journal.entries) == 3  # said once


# --- the access log --------------------------------------------------------------------------------


def exchange(raw_path=b"/a", query=b"", fields=(), client=("192.0.2.1", 5), status=200):
    head = RequestHead("GET", raw_path, query, b"h", "1.1", list(fields), 0, False)
    done = Exchange(head, Peer(client, ("192.0.2.2", 80)), None)
    done.status, done.sent_bytes = status, 11
    return done


@pytest.fixture
def turns():
    return []


@pytest.fixture
def access(journal, pipe, turns):
    plain = AccessLog("%(method)s %(path)s %(status)d", pipe.file, turns.append)
    return AccessEntries(plain, turns.append, journal.send, {"worker": 2, "generation": 7})


def test_a_request_is_an_entry(access, journal, turns):
    done = exchange(query=b"token=hunter2")
    done.started_ns -= 5_000_000_000
    access.write(done)
    assert journal.entries == []  # after the response, with the others of this turn
    turns.pop()()
    (entry,) = journal.entries
    assert int(entry.pop("DURATION_US")) >= 5_000_000
    assert entry == {
        "MESSAGE": "GET /a 200",
        "PRIORITY": "6",
        "GRANIAN_EVENT": "access",
        "REQUEST_METHOD": "GET",
        "REQUEST_PATH": "/a",
        "REQUEST_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "REQUEST_AUTHORITY": "h",
        "REMOTE_ADDR": "192.0.2.1",
        "STATUS": "200",
        "RESPONSE_BYTES": "11",
        "WORKER": "2",
        "GENERATION": "7",
    }


def test_nothing_of_the_peer_gets_out_raw(access, journal):
    fields = [(b"x-request-id", b'"\x1b'), (b"user-agent", b'"\x1b' + b"x" * 500)]
    access.write(exchange(raw_path=b"/\xff\nMESSAGE=x", fields=fields, client=None))
    access.flush()
    (entry,) = journal.entries
    assert entry["REQUEST_PATH"] == r"/\xff\x0aMESSAGE=x"
    assert entry["USER_AGENT"].startswith(r"\x22\x1bxxx")
    assert len(entry["USER_AGENT"]) == MOST_AGENT_CHARS
    assert "REQUEST_ID" not in entry
    assert entry["REMOTE_ADDR"] == ""


def test_the_id_that_a_request_brings_is_a_field_of_its_own(access, journal):
    access.write(exchange(fields=[(b"x-request-id", b"a-1")]))
    access.flush()
    assert journal.entries[0]["REQUEST_ID"] == "a-1"
    assert not access.wants_ids  # its format does not name one


def test_the_requests_of_a_turn_are_sent_together_and_in_order(access, journal, turns):
    for number in range(3):
        access.write(exchange(raw_path=b"/%d" % number))
    (flush,) = turns
    flush()
    flush()
    assert [entry["REQUEST_PATH"] for entry in journal.entries] == ["/0", "/1", "/2"]


def test_lines_of_what_the_journal_does_not_take(access, journal, pipe):
    access.write(exchange())
    journal.takes = False
    access.flush()
    assert pipe.read() == "GET /a 200\n"
    pipe.fill()
    access.write(exchange())
    access.flush()
    journal.takes = True
    access.write(exchange())
    access.flush()
    assert [entry["MESSAGE"] for entry in journal.entries] == [
        "2 log lines were lost here",
        "GET /a 200",
    ]
