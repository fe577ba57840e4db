"""What is counted and told of exchanges."""

from __future__ import annotations

import json
from array import array

import pytest

from granian_d.errors import HeadTooLarge, InvalidResponse, PeerTooBusy
from granian_d.http.exchange import Exchange
from granian_d.http.message import Peer, RequestHead
from granian_d.observe.access_log import AccessLog
from granian_d.observe.log import Log, LogFile
from granian_d.observe.scoreboard import BUCKETS, COLUMNS, WORDS
from granian_d.worker.dispatch import Dispatch
from tests.unit.plan import specimens

PEER = Peer(("192.0.2.1", 5), ("192.0.2.2", 80))


class Interface:
    def __init__(self):
        self.served = []

    def serve(self, exchange):
        self.served.append(exchange)

    def converse(self, session):
        self.served.append(session.exchange)


class Desk:
    """A Dispatch, and all that it writes on."""

    def __init__(self, directory, *, with_access_log, peer_of=None):
        self.words = memoryview(array("Q", [0] * WORDS))
        self.turns = []
        self._log_path, self._access_path = directory / "log", directory / "access"
        self.files = [LogFile(str(self._log_path), -1), LogFile(str(self._access_path), -1)]
        log = Log(specimens.log_plan(format="json", level="debug"), self.files[0], journal=False)
        access_log = AccessLog("%(path)s %(status)d %(size)d", self.files[1], self.turns.append)
        self.interface = Interface()
        self.dispatch = Dispatch(
            self.interface, self.words, log, access_log if with_access_log else None, peer_of
        )

    @property
    def counted(self):
        words = {name: self.words[i] for i, name in enumerate(COLUMNS) if self.words[i]}
        words.pop("last_ns", None)  # in test_last_request
        return words

    @property
    def latencies(self):
        return list(self.words[len(COLUMNS) : len(COLUMNS) + BUCKETS])

    @property
    def logged(self):
        return [json.loads(line) for line in self._log_path.read_text().splitlines()]

    @property
    def access_lines(self):
        while self.turns:
            self.turns.pop()()
        return self._access_path.read_text().splitlines()


@pytest.fixture(params=[True, False], ids=["access log", "no access log"])
def desk(request, tmp_path):
    made = Desk(tmp_path, with_access_log=request.param)
    made.with_access_log = request.param
    yield made
    for file in made.files:
        file.close()


def exchange(desk, path=b"/a", status=200, sent_bytes=5):
    head = RequestHead("GET", path, b"", b"h", "1.1", [], 0, False)
    made = Exchange(head, PEER, desk.dispatch.observer)
    made.status, made.sent_bytes = status, sent_bytes
    return made


def test_serving_is_the_interfaces_business(desk):
    one = exchange(desk)
    desk.dispatch.serve(one)
    assert desk.interface.served == [one]
    assert desk.counted == {}


def test_an_exchange_from_begin_to_end(desk):
    one, two = exchange(desk, b"/1", 200, 5), exchange(desk, b"/2", 404, 7)
    desk.dispatch.observer.began(one)
    desk.dispatch.observer.began(two)
    assert desk.counted == {"active": 2}
    two.started_ns -= 1_000_000_000
    desk.dispatch.observer.finished(two)
    latency_ns = desk.counted["latency_ns"]
    assert latency_ns > 1_000_000_000
    assert desk.counted == {
        "active": 1,
        "requests": 1,
        "sent_bytes": 7,
        "answers_4xx": 1,
        "latency_ns": latency_ns,
    }
    desk.dispatch.observer.finished(one)
    latency_ns = desk.counted["latency_ns"]
    assert desk.counted == {
        "requests": 2,
        "sent_bytes": 12,
        "answers_2xx": 1,
        "answers_4xx": 1,
        "latency_ns": latency_ns,
    }
    assert sum(desk.latencies) == 2
    assert sum(desk.latencies[16:18]) == 1  # 2**16 and 2**17 times 16.384 us: around a second
    assert desk.access_lines == (["/2 404 7", "/1 200 5"] if desk.with_access_log else [])
    assert desk.logged == []


@pytest.mark.parametrize(
    ("status", "column"),
    [
        *((0, "0xx"), (101, "1xx"), (299, "2xx"), (304, "3xx"), (499, "4xx"), (500, "5xx")),
        *((600, "6xx"), (700, "6xx"), (999, "6xx")),
    ],
)
def test_answers_are_counted_by_their_status(desk, status, column):
    one = exchange(desk, status=status)
    desk.dispatch.observer.began(one)
    desk.dispatch.observer.finished(one)
    answers = {name for name in desk.counted if name.startswith("answers")}
    assert answers == {f"answers_{column}"}


def test_what_a_request_brings_is_counted_when_it_is_over(desk):
    one = exchange(desk)
    desk.dispatch.observer.began(one)
    one.feed(b"12345")
    one.feed(b"678")
    assert "received_bytes" not in desk.counted
    desk.dispatch.observer.finished(one)
    assert desk.counted["received_bytes"] == 8


def test_a_conversation_from_begin_to_end(desk):
    one = exchange(desk, status=101)
    one.head.protocol = "websocket"
    desk.dispatch.observer.began(one)
    desk.dispatch.converse(Session(one))
    assert desk.counted == {"active": 1, "conversations": 1}
    desk.dispatch.observer.finished(one)
    assert desk.counted == {"requests": 1, "answers_1xx": 1, "conversed": 1, "sent_bytes": 5}
    assert sum(desk.latencies) == 0


def test_a_fault_of_the_application(desk):
    try:
        raise ValueError("no database")
    except ValueError as error:
        desk.dispatch.observer.crashed(exchange(desk), error)
    assert desk.counted == {"crashed": 1}
    (record,) = desk.logged
    assert (record["event"], record["level"]) == ("application_crashed", "error")
    assert record["traceback"].startswith("Traceback (most recent call last):\n")
    assert record["traceback"].endswith("ValueError: no database")
    assert __file__ in record["traceback"]


def test_an_invalid_response_is_told_without_our_own_traceback(desk):
    desk.dispatch.observer.crashed(exchange(desk), InvalidResponse("a line feed in a value"))
    assert desk.counted == {"crashed": 1}
    (record,) = desk.logged
    assert (record["event"], record["reason"]) == ("response_invalid", "a line feed in a value")


def test_what_the_application_says_for_debugging(desk):
    desk.dispatch.observer.explained(exchange(desk), "{'template': 'a.html'}")
    assert desk.counted == {}
    (record,) = desk.logged
    assert (record["level"], record["info"]) == ("debug", "{'template': 'a.html'}")


@pytest.mark.parametrize(
    ("peer", "client"), [(PEER, "192.0.2.1"), (Peer(None, ("/run/s", None)), "a local peer")]
)
def test_a_refused_request(desk, peer, client):
    desk.dispatch.observer.refused(peer, HeadTooLarge("too many fields", "RFC 6585 5"))
    assert desk.counted == {"refused": 1}
    (record,) = desk.logged
    assert record["level"] == "debug"
    assert record["message"] == (
        f"Refused a request from {client}: 431 too many fields (RFC 6585 5)"
    )


def test_a_connection_that_was_calmed(desk):
    desk.dispatch.observer.refused(PEER, PeerTooBusy("streams reset in a row", "RFC 9113 10.5"))
    assert desk.counted == {"refused": 1, "calmed": 1}


class Session:
    def __init__(self, exchange):
        self.exchange = exchange


def test_the_application_and_the_log_see_for_whom_a_request_is_made(tmp_path):
    client = Peer(("203.0.113.9", 0), ("192.0.2.2", 80), "https")
    asked = []

    def peer_of(head, peer):
        asked.append((head, peer))
        return client

    desk = Desk(tmp_path, with_access_log=False, peer_of=peer_of)
    one, two = exchange(desk), exchange(desk)
    desk.dispatch.serve(one)
    desk.dispatch.converse(Session(two))
    assert asked == [(one.head, PEER), (two.head, PEER)]
    assert one.peer is two.peer is client
    assert desk.interface.served == [one, two]
    for file in desk.files:
        file.close()
