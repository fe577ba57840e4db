"""What a vector cannot tell: time, back-pressure, drain, and a peer that goes away."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any

import pytest

from granian_d.engine.contract import Leave
from granian_d.errors import BodyTooLarge, Disconnected, InvalidResponse, RequestTimeout
from granian_d.http import states
from tests.wire.harness import ENGINES, LIMITS, Line, answer_ok, read_all, request

if TYPE_CHECKING:
    from collections.abc import Generator

    from granian_d.http.exchange import Exchange

KIB = 1024
OK = b"ok"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    return ENGINES[request.param]


def statuses(line: Line) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", line.sent)]


def never(exchange: Exchange) -> Generator[Any, None, None]:
    """Neither reads nor answers."""
    yield lambda _wake: None


def answer_at_once(exchange: Exchange) -> Generator[Any, None, None]:
    exchange.start(200, [])
    exchange.send(OK, last=True)
    yield from ()


class Held:
    """An application that hands its exchanges to the test."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> Generator[Any, None, None]:
        self.exchanges.append(exchange)
        yield lambda _wake: None

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    def answer(self, body: bytes = OK) -> None:
        self.last.start(200, [])
        self.last.send(body, last=True)


def chunked(*chunks: bytes) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


# --- the head ---------------------------------------------------------------------------------------


def test_the_application_sees_nothing_of_half_a_head(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request(fields=["X: y"])[:-1])
    assert not app.exchanges
    line.feed(b"\n")
    assert len(app.exchanges) == 1


def test_an_exchange_knows_nothing_of_the_one_before(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request(fields=["Authorization: Basic eDp5", "Cookie: a=b"]))
    app.answer()
    line.feed(request())
    assert app.last.head.fields == [(b"host", b"example.org")]
    assert app.exchanges[0] is not app.exchanges[1]


# --- time -------------------------------------------------------------------------------------------


def test_a_connection_that_never_says_anything_is_closed_without_a_word(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.wait(LIMITS["head_timeout_s"] - 0.25)
    assert line.fate == "stays"
    line.wait(0.25)
    assert line.fate == "closes"
    assert line.sent == b""
    assert line.record.refusals == []


def test_half_a_head_times_out_with_408(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.wait(6).feed(b"GET / HT").wait(LIMITS["head_timeout_s"] - 0.25)
    assert line.fate == "stays"
    line.feed(b"TP").wait(0.25)
    assert line.fate == "closes"
    assert statuses(line) == [408]
    assert [type(refusal) for refusal in line.record.refusals] == [RequestTimeout]


def test_an_idle_connection_is_closed_without_a_word(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.wait(5).feed(request())
    said = line.sent
    line.wait(LIMITS["idle_timeout_s"] - 0.25)
    assert line.fate == "stays"
    line.wait(0.25)
    assert line.fate == "closes"
    assert line.sent == said


def test_the_head_timeout_of_a_pipelined_head_begins_with_the_answer_before_it(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request() + b"GET /").wait(100)
    app.answer()
    line.wait(LIMITS["head_timeout_s"] - 0.25)
    assert line.fate == "stays"
    line.wait(0.25)
    assert statuses(line) == [200, 408]


def test_an_application_may_take_its_time(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request()).wait(1000)
    app.answer()
    assert statuses(line) == [200]
    assert line.fate == "stays"


def test_a_body_that_does_not_come_times_out_with_408(engine: Any) -> None:
    caught = []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        try:
            yield from read_all(exchange)
        except RequestTimeout as error:
            caught.append(error)
            raise

    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").wait(15)
    line.feed(b"hello").wait(LIMITS["body_timeout_s"] - 0.25)
    assert line.fate == "stays", "there was progress"
    line.wait(0.25)
    assert statuses(line) == [408]
    assert line.fate == "closes"
    assert len(caught) == 1
    (exchange,) = line.record.over
    assert exchange.status == 408
    assert exchange.state == states.ABORTED


def test_asking_again_for_the_body_does_not_prolong_the_time(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    assert app.last.pull() is None
    line.wait(LIMITS["body_timeout_s"] - 1)
    assert app.last.pull() is None
    line.wait(1)
    assert statuses(line) == [408]


def test_a_body_that_nobody_waits_for_does_not_time_out(engine: Any) -> None:
    line = Line(engine, never)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").wait(1000)
    assert line.fate == "stays"


def test_a_body_timeout_of_zero_is_none(engine: Any) -> None:
    line = Line(engine, answer_ok, body_timeout_s=0)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").wait(1000)
    assert line.fate == "stays"


def test_a_body_timeout_behind_a_started_answer_ends_with_that_answer(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    app.last.start(200, [])
    app.last.send(b"a")
    assert app.last.pull() is None
    line.wait(LIMITS["body_timeout_s"])
    with pytest.raises(RequestTimeout):
        app.last.pull()
    app.last.send(b"b", last=True)
    assert statuses(line) == [200]
    assert line.sent.endswith(b"\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    assert line.fate == "closes"


def test_an_unread_body_that_does_not_come_ends_the_connection(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    for _ in range(5):  # progress does not help: nobody waits for it
        line.feed(b"x").wait(LIMITS["idle_timeout_s"] / 5 - 0.25)
    assert line.fate == "stays"
    line.wait(1.25)
    assert line.fate == "closes"
    assert statuses(line) == [200]


def test_a_peer_that_does_not_read_is_cut(engine: Any) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    app.last.start(200, [])
    assert app.last.send(b"x" * 2000) is False
    line.wait(LIMITS["write_timeout_s"] - 0.25)
    assert line.fate == "stays"
    line.wait(0.25)
    assert line.fate == "resets"
    assert line.record.over == [app.last]
    with pytest.raises(Disconnected):
        app.last.send(b"x")


def test_a_peer_that_reads_slowly_is_not_cut(engine: Any) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    app.last.start(200, [])
    app.last.send(b"x" * 100_000)
    for _ in range(20):
        line.wait(LIMITS["write_timeout_s"] - 1).take(1)
    assert line.fate == "stays"
    line.wait(2 * LIMITS["write_timeout_s"])
    assert line.fate == "resets"


def test_sending_more_does_not_prolong_the_time_for_a_peer_that_does_not_read(engine: Any) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    app.last.start(200, [])
    for _ in range(4):
        app.last.send(b"x" * 2000)
        line.wait(LIMITS["write_timeout_s"] / 4)
    assert line.fate == "resets"


def test_the_idle_time_begins_when_the_peer_has_read_the_answer(engine: Any) -> None:
    line = Line(engine, answer_ok, high_water=10)
    line.feed(request()).wait(35).take(10_000)
    line.wait(LIMITS["idle_timeout_s"] - 0.25)
    assert line.fate == "stays"
    line.wait(0.25)
    assert line.fate == "closes"


def test_a_peer_that_does_not_read_is_cut_behind_the_answer_too(engine: Any) -> None:
    line = Line(engine, answer_ok, high_water=10)
    line.feed(request())
    assert len(line.record.over) == 1
    line.wait(LIMITS["write_timeout_s"])
    assert line.fate == "resets"


# --- back-pressure ------------------------------------------------------------------------------------


def test_a_body_that_is_not_pulled_stops_the_peer(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x" * 64 * KIB)
    assert not line.wire.paused
    line.feed(b"x")
    assert line.wire.paused
    assert app.last.pull() == b"x" * 64 * KIB
    assert not line.wire.paused


def test_what_an_answered_request_left_behind_counts_no_more(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    line.feed(head % (60 * KIB) + b"x" * 60 * KIB)
    app.answer()
    line.feed(head % (90 * KIB), b"x" * 64 * KIB)
    assert not line.wire.paused
    assert app.exchanges[0].pull() == b"x" * 60 * KIB
    line.feed(b"x")
    assert line.wire.paused


def test_a_head_larger_than_the_buffers_does_not_stop_the_peer(engine: Any) -> None:
    line = Line(engine, answer_ok, head_bytes=200 * KIB)
    line.feed(request()[:-2] + b"X: " + b"x" * 150 * KIB)
    assert not line.wire.paused
    line.feed(b"\r\n\r\n")
    assert statuses(line) == [200]


def test_pipelined_requests_stop_the_peer(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request() * 1000)
    line.feed(request() * 1000)
    assert line.wire.paused
    while len(app.exchanges) < 2000:
        app.answer()
    assert not line.wire.paused


def test_the_next_request_waits_for_the_peer_to_read(engine: Any) -> None:
    line = Line(engine, answer_ok, high_water=10)
    line.feed(request() * 3)
    assert statuses(line) == [200]
    line.take(10_000)
    assert statuses(line) == [200, 200]
    line.take(10_000)
    assert statuses(line) == [200, 200, 200]


def test_send_says_when_to_wait_and_when_there_is_room(engine: Any) -> None:
    def app(exchange: Exchange) -> Generator[Any, None, None]:
        exchange.start(200, [])
        for _ in range(10):
            if not exchange.send(b"x" * 1000):
                yield exchange.when_room
        exchange.finish()

    line = Line(engine, app, high_water=3000)
    line.feed(request())
    written = len(line.sent)
    assert 3000 < written < 4500
    line.take(100)
    assert len(line.sent) == written, "not below the low-water mark yet"
    line.take(3000)
    assert len(line.sent) > written
    for _ in range(5):
        line.take(3000)
    assert line.sent.endswith(b"0\r\n\r\n")
    assert line.fate == "stays"


def test_a_waiter_for_room_learns_that_the_peer_is_gone(engine: Any) -> None:
    ends = []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        exchange.start(200, [])
        exchange.send(b"x" * 5000)
        yield exchange.when_room
        ends.append(exchange.gone)

    line = Line(engine, app, high_water=3000)
    line.feed(request()).lost()
    assert ends == [True]


# --- bodies -------------------------------------------------------------------------------------------


def test_continue_then_the_body(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert line.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.feed(b"hello")
    assert statuses(line) == [100, 200]
    assert b"connection: close" not in line.sent
    assert line.fate == "stays"


def test_no_continue_for_a_body_that_is_here(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert statuses(line) == [200]
    assert line.fate == "stays"


def test_continue_once(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    for _ in range(3):
        assert app.last.pull() is None
    assert statuses(line) == [100]


def test_no_continue_once_the_body_has_begun(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhe")
    assert app.last.pull() == b"he"
    assert app.last.pull() is None
    assert line.sent == b""


def test_who_waits_for_a_continue_has_a_body(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request(fields=["Expect: 100-continue"]))
    assert not app.last.head.expects_continue
    app.answer()
    line.feed(request(fields=["Expect: 100-continue", "Content-Length: 5"]))
    assert app.last.head.expects_continue


def test_no_continue_behind_the_head_of_the_answer(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    app.last.start(200, [])
    app.last.send(b"")
    assert app.last.pull() is None
    assert statuses(line) == [200]
    assert b"connection: close" in line.sent


def test_a_large_unread_body_ends_the_connection(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * KIB + 1)
    line.feed(head)
    assert b"connection: close" in line.sent
    assert line.fate == "closes"


def test_a_large_body_left_behind_a_streamed_answer_ends_the_connection(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * KIB + 1))
    app.last.start(200, [])
    app.last.send(b"a")
    assert b"connection: close" not in line.sent
    app.last.finish()
    assert line.fate == "closes"


def test_an_unread_body_of_64_kib_is_discarded(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * KIB))
    line.feed(b"x" * (64 * KIB - 1))
    assert line.fate == "stays"
    line.feed(b"x" + request())
    assert statuses(line) == [200, 200]
    assert line.fate == "stays"


def test_an_unread_chunked_body_is_discarded_up_to_64_kib(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    line.feed(chunked()).feed(*[b"2000\r\n" + b"x" * 0x2000 + b"\r\n"] * 8)
    assert line.fate == "stays"
    line.feed(b"1\r\nx\r\n")
    assert line.fate == "closes"


def test_a_malformed_unread_body_ends_the_connection_without_a_second_answer(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    line.feed(chunked()).feed(b"nonsense\r\n")
    assert statuses(line) == [200]
    assert line.fate == "closes"


def test_what_waits_for_the_body_is_woken_by_the_answer(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    woken: list[bool] = []
    assert app.last.pull() is None
    app.last.when_readable(lambda: woken.append(True))
    app.answer()
    assert woken == [True]
    with pytest.raises(Disconnected):
        app.last.pull()


def test_a_body_passes_without_a_copy(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
    part = b"x" * 100_000
    line.feed(part)
    assert app.last.pull() is part


def test_a_fault_of_the_body_is_answered_while_the_application_does_something_else(
    engine: Any,
) -> None:
    app = Held()
    line = Line(engine, app, body_bytes=10)
    line.feed(chunked(b"hello")).feed(b"6\r\n")
    assert statuses(line) == [413]
    assert line.fate == "closes"
    assert app.last.pull() == b"hello"
    with pytest.raises(BodyTooLarge):
        app.last.pull()
    with pytest.raises(Disconnected):
        app.last.start(200, [])
    app.last.fail()
    app.last.abort()
    assert line.record.over == app.exchanges
    assert [type(refusal) for refusal in line.record.refusals] == [BodyTooLarge]


def test_a_fault_of_the_body_behind_a_started_answer_leaves_that_answer_alone(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(chunked(b"hello"))
    app.last.start(200, [])
    app.last.send(b"a")
    line.feed(b"x\r\n", request())
    assert len(app.exchanges) == 1
    app.last.send(b"b", last=True)
    assert line.sent.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    assert statuses(line) == [200]
    assert line.fate == "closes"
    assert line.record.refusals == []


def test_a_fault_of_the_body_before_the_head_of_the_answer_is_out(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(chunked(b"hello"))
    app.last.start(200, [])
    line.feed(b"x\r\n")
    app.last.send(OK, last=True)
    assert statuses(line) == [200]
    assert b"\r\nconnection: close\r\n" in line.sent
    assert line.fate == "closes"


def test_a_fault_of_a_body_that_came_with_its_head(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    line.feed(chunked() + b"x\r\n")
    assert statuses(line) == [200]
    assert b"\r\nconnection: close\r\n" in line.sent
    assert line.fate == "closes"


def test_what_follows_a_fault_of_the_body_is_dropped(engine: Any) -> None:
    """Not kept, and not stopped: or the end of the peer would not be noticed."""
    app = Held()
    line = Line(engine, app)
    line.feed(chunked(b"hello"))
    app.last.start(200, [])
    line.feed(b"x\r\n", b"x" * 100 * KIB, b"x" * 100 * KIB)
    assert not line.wire.paused
    line.eof()
    assert app.last.gone


# --- answers ------------------------------------------------------------------------------------------


def test_head_and_body_leave_in_one_write(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(request())
    assert len(line.wire.writes) == 1


def test_head_and_first_chunk_leave_in_one_write(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    app.last.start(200, [])
    assert line.wire.writes == []
    app.last.send(b"a")
    assert len(line.wire.writes) == 1
    app.last.finish()
    assert line.wire.writes[1:] == [b"0\r\n\r\n"]


def test_a_large_part_is_not_copied(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    part = b"x" * 1_000_000
    app.last.start(200, [])
    app.last.send(part, last=True)
    assert line.wire.writes[-1] is part


def test_what_was_sent_is_counted(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    app.last.start(201, [])
    app.last.send(b"hello")
    app.last.send(b" world", last=True)
    assert (app.last.status, app.last.sent_bytes) == (201, 11)
    line.feed(request("HEAD"))
    app.answer(b"hello")
    assert (app.last.status, app.last.sent_bytes) == (200, 0)


def test_the_answer_is_out_before_the_wire_is_finished(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi more that nobody asked for")
    assert statuses(line) == [200]
    assert line.sent.endswith(b"\r\n\r\nok")
    assert line.fate == "closes"


@pytest.mark.parametrize("last", [False, True])
def test_more_than_the_length_is_cut_at_once(engine: Any, last: bool) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    app.last.start(200, [(b"content-length", b"3")])
    app.last.send(b"a")
    with pytest.raises(InvalidResponse):
        app.last.send(b"bcd", last)
    assert line.fate == "resets"
    assert app.last.state == states.ABORTED
    assert line.record.over == [app.last]


@pytest.mark.parametrize("data", ["text", bytearray(b"x"), memoryview(b"x"), None, 5])
def test_a_body_is_bytes(engine: Any, data: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    app.last.start(200, [])
    with pytest.raises(InvalidResponse):
        app.last.send(data)
    app.last.send(OK, last=True)
    assert statuses(line) == [200]


@pytest.mark.parametrize("field", [("x", b"y"), (b"x", "y"), (b"x", 1), (bytearray(b"x"), b"y")])
def test_fields_are_bytes(engine: Any, field: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    with pytest.raises(InvalidResponse):
        app.last.start(200, [field])
    app.answer()
    assert statuses(line) == [200]


@pytest.mark.parametrize("status", [True, "200", 200.0, None])
def test_a_status_is_an_integer(engine: Any, status: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    with pytest.raises(InvalidResponse):
        app.last.start(status, [])
    with pytest.raises(InvalidResponse):
        app.last.inform(status, [])
    app.answer()
    assert statuses(line) == [200]


def test_fields_may_come_from_a_generator(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    app.last.start(200, ((name, b"v") for name in (b"a", b"b")))
    app.last.finish()
    assert b"\r\na: v\r\nb: v\r\n" in line.sent


def test_the_date_is_that_of_the_answer(engine: Any) -> None:
    line = Line(engine, answer_ok)
    before = int(time()) - 1  # the coarse clock may be a tick behind
    line.feed(request(), b"GET /\r\n\r\n")
    dates = re.findall(rb"\r\ndate: ([^\r]*)\r\n", line.sent)
    assert len(dates) == 2, "of the application's answer and of a refusal"
    for date in dates:
        assert before <= parsedate_to_datetime(date.decode()).timestamp() <= time()


# --- files --------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Any) -> Any:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 2000)
    with path.open("rb") as opened:
        yield opened.fileno()


def test_a_file_under_back_pressure(engine: Any, file: int) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    ends: list[bool] = []
    app.last.start(200, [(b"content-length", b"511990")])
    app.last.send_file(file, 10, 511_990, ends.append)
    assert ends == []
    for _ in range(10):
        line.take(1_000_000)
    assert ends == [True]
    assert line.sent.endswith((bytes(range(256)) * 2000)[10:])
    assert line.sent.partition(b"\r\n\r\n")[2] == (bytes(range(256)) * 2000)[10:]


def test_a_file_in_answer_to_head_is_not_read(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request("HEAD"))
    ends: list[bool] = []
    app.last.start(200, [(b"content-length", b"5")])
    app.last.send_file(-1, 0, 5, ends.append)
    assert ends == [True]
    assert statuses(line) == [200]
    assert line.fate == "stays"


def test_a_file_shorter_than_said_is_cut(engine: Any, file: int) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    ends: list[bool] = []
    app.last.start(200, [(b"content-length", b"600000")])
    app.last.send_file(file, 0, 600_000, ends.append)
    assert ends == [False]
    assert line.fate == "resets"


def test_a_file_that_is_lost_in_the_middle(engine: Any, file: int) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    ends: list[bool] = []
    app.last.start(200, [])
    app.last.send_file(file, 0, 512_000, ends.append)
    line.lost()
    assert ends == [False]


def test_a_file_whose_answer_somebody_else_finishes(engine: Any, file: int) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    ends: list[bool] = []
    app.last.start(200, [])
    app.last.send_file(file, 0, 512_000, ends.append)
    app.last.finish()
    assert ends == [False]
    assert line.sent.endswith(b"\r\n0\r\n\r\n")
    line.take(1_000_000)
    assert ends == [False]


def test_a_file_of_another_length_than_declared_is_found_in_a_callback_too(
    engine: Any, file: int
) -> None:
    app = Held()
    line = Line(engine, app, high_water=1000)
    line.feed(request())
    ends: list[bool] = []
    app.last.start(200, [(b"content-length", b"200000")])
    app.last.send_file(file, 0, 512_000, ends.append)
    assert ends == []
    line.take(1_000_000)
    assert ends == [False]
    assert line.fate == "resets"
    assert [type(fault) for fault in line.record.faults] == [InvalidResponse]


# --- the peer goes away -------------------------------------------------------------------------------


def test_eof_while_the_answer_is_made(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    gone: list[bool] = []
    app.last.when_gone(lambda: gone.append(True))
    line.eof()
    assert gone == [True]
    assert app.last.gone
    app.answer()
    assert statuses(line) == [200]
    assert line.sent.count(b"\r\nconnection: close\r\n") == 1
    assert line.fate == "closes"


def test_eof_while_several_requests_wait(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request() * 3).eof()
    for turn in (1, 2, 3):
        assert len(app.exchanges) == turn
        assert app.last.gone
        assert line.fate == "stays"
        app.answer()
    assert statuses(line) == [200] * 3
    assert line.sent.count(b"connection: close") == 1, "the last one"
    assert line.fate == "closes"


def test_eof_within_a_body_behind_another_request(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request(), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello").eof()
    app.answer()
    assert statuses(line) == [200, 400]
    assert line.fate == "closes"
    assert line.record.over == app.exchanges


def test_eof_while_the_peer_does_not_read(engine: Any) -> None:
    line = Line(engine, answer_ok, high_water=10)
    line.feed(request() * 2).eof()
    assert statuses(line) == [200]
    assert line.fate == "stays"
    line.take(10_000)
    assert statuses(line) == [200, 200]
    line.take(10_000)
    assert line.fate == "closes"


def test_eof_within_a_body_behind_a_started_answer(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello")
    app.last.start(200, [])
    app.last.send(b"a")
    line.eof()
    assert app.last.pull() == b"hello"
    with pytest.raises(Disconnected):
        app.last.pull()
    app.last.finish()
    assert statuses(line) == [200]
    assert line.fate == "closes"


def test_eof_behind_an_answer_whose_body_was_not_read(engine: Any) -> None:
    line = Line(engine, answer_at_once)
    line.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello").eof()
    assert statuses(line) == [200]
    assert line.fate == "closes"


def test_a_lost_connection_ends_the_exchange(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    gone: list[bool] = []
    app.last.when_gone(lambda: gone.append(True))
    line.lost()
    assert gone == [True]
    assert app.last.state == states.ABORTED
    assert line.record.over == [app.last]
    for act in (
        lambda: app.last.start(200, []),
        lambda: app.last.inform(103, []),
        lambda: app.last.send(b""),
        app.last.finish,
    ):
        with pytest.raises(Disconnected):
            act()
    app.last.fail()
    app.last.abort()
    assert line.record.over == [app.last]
    assert line.sent == b""


def test_what_is_lost_is_told_once_only(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    gone: list[bool] = []
    app.last.when_gone(lambda: gone.append(True))
    line.eof().lost()
    assert gone == [True]


def test_a_connection_lost_while_it_idles(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(request()).lost()
    assert len(line.record.over) == 1


def test_a_callback_of_when_gone_can_be_taken_back(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    gone: list[int] = []
    take_back = app.last.when_gone(lambda: gone.append(1))
    app.last.when_gone(lambda: gone.append(2))
    take_back()
    take_back()
    line.eof()
    assert gone == [2]
    app.last.when_gone(lambda: gone.append(3))()
    assert gone == [2, 3]


# --- drain --------------------------------------------------------------------------------------------


def test_drain_while_a_request_is_answered(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    line.endpoint.drain(Leave(5))
    assert line.fate == "stays"
    app.answer()
    assert b"\r\nconnection: close\r\n" in line.sent
    assert line.fate == "closes"


def test_drain_behind_a_head_that_promised_to_stay(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    app.last.start(200, [])
    app.last.send(b"a")
    line.endpoint.drain(Leave(5))
    app.last.finish()
    assert line.fate == "stays", "the head did not say close: the next answer will"
    line.feed(request())
    app.answer()
    assert line.fate == "closes"
    assert statuses(line) == [200, 200]


def test_drain_leaves_an_idle_connection_its_time(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(request()).wait(2)
    line.endpoint.drain(Leave(5))
    line.wait(2.75)
    assert line.fate == "stays"
    line.wait(0.25)
    assert line.fate == "closes"
    assert statuses(line) == [200]


def test_drain_answers_the_next_request_and_closes(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(request())
    line.endpoint.drain(Leave(5))
    line.feed(request() * 2)
    assert statuses(line) == [200, 200]
    assert line.fate == "closes"


def test_drain_leaves_a_head_that_has_begun_its_time(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(request()[:5])
    line.endpoint.drain(Leave(0.5))
    line.wait(LIMITS["head_timeout_s"] - 0.25)
    line.feed(request()[5:])
    assert statuses(line) == [200]
    assert line.fate == "closes"


def test_drain_closes_a_connection_that_has_said_nothing(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.endpoint.drain(Leave(1))
    line.wait(0.75)
    assert line.fate == "stays"
    line.wait(0.25)
    assert line.fate == "closes"
    assert line.sent == b""
