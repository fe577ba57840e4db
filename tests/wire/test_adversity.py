"""Peers and applications that mean no good, or know no better: what they can cost is bounded.

Work is counted, not timed: octets that were searched, and memory that is held.
"""

from __future__ import annotations

import gc
import tracemalloc
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from granian_d.engine.contract import Leave
from granian_d.engine.pure.h1_head import HeadIntake
from granian_d.errors import BodyTooLarge, Disconnected, InvalidResponse, ProtocolViolation
from granian_d.http import states
from tests.wire.harness import ENGINES, LIMITS, OPEN, Line, answer_ok, read_all, request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import FieldPairs

KIB = 1024
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    return ENGINES[request.param]


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

    def answer(self, fields: FieldPairs = ()) -> None:
        self.last.start(200, fields)
        self.last.send(b"ok", last=True)


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- work -------------------------------------------------------------------------------------------


@pytest.fixture
def intakes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The intakes of heads that are made, each with the number of octets that it has searched."""
    made = []

    class Counting(HeadIntake):
        __slots__ = ("searched",)

        def __init__(self, *what: Any) -> None:
            super().__init__(*what)
            self.searched = 0
            made.append(self)

        def take(self) -> Any:
            begun, size = self._scanned, len(self)
            raw = super().take()
            self.searched += (size if raw is None else len(raw.octets)) - max(begun - 3, 0)
            return raw

    for name in ENGINES:
        monkeypatch.setattr(import_module(f"granian_d.engine.{name}.h1"), "HeadIntake", Counting)
    return made


def test_a_head_octet_by_octet_is_searched_once(engine: Any, intakes: list[Any]) -> None:
    line = Line(engine, answer_ok, head_bytes=64 * KIB, head_fields=10_000)
    head = request(fields=["X-Name: some value"] * 3000)
    line.feed(*octets(head))
    assert len(line.record.over) == 1
    assert sum(intake.searched for intake in intakes) < 10 * len(head)
    assert len(intakes) == 1, "and by one reader: another one would begin anew"


def test_many_odd_heads_at_once_are_searched_once(engine: Any, intakes: list[Any]) -> None:
    """Heads that the native engine leaves to the reference, one behind the other."""
    app = Held()
    line = Line(engine, app)
    stream = b"GET / HTTP/1.1\r\nHost:[::1]\r\n\r\n" * 2000
    line.feed(stream)
    while len(app.exchanges) < 2000:
        app.answer()
    assert sum(intake.searched for intake in intakes) < 10 * len(stream)


# --- memory -----------------------------------------------------------------------------------------


def grown(line: Line, piece: bytes, times: int = 10**6) -> int:
    """By how many bytes all that Python has allocated grows while the peer sends, at most."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        while times and not line.wire.paused and line.fate == OPEN:
            line.feed(piece)
            times -= 1
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", [b"G", b"GET / HTTP/1.1\r\n", b"x" * 5000])
def test_what_comes_while_an_answer_is_made_is_bounded(engine: Any, piece: bytes) -> None:
    line = Line(engine, Held())
    line.feed(request())
    assert grown(line, piece) < 2 * 64 * KIB
    assert line.wire.paused


@pytest.mark.parametrize("content", [b"xy", b"x" * 100])
def test_a_body_of_small_chunks_is_bounded(engine: Any, content: bytes) -> None:
    """They are stopped by what they contain, as others are; each part costs an object, though."""
    line = Line(engine, Held())
    line.feed(CHUNKED)
    chunk = b"%x\r\n%b\r\n" % (len(content), content)
    assert grown(line, chunk * 100) < 64 * KIB * (1 + 100 / len(content))
    assert line.wire.paused


def test_a_head_that_never_ends_is_bounded(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(request()[:-2])
    assert grown(line, b"X: y\r\n") < 4 * LIMITS["head_bytes"]
    assert line.fate == "closes"


@pytest.mark.parametrize(
    ("begun", "endless"), [(b"5", b";x"), (b"0\r\nX: ", b"y"), (b"0\r\n", b"X: y\r\n")]
)
def test_what_is_no_content_of_a_body_is_bounded(engine: Any, begun: bytes, endless: bytes) -> None:
    line = Line(engine, answer_ok)
    line.feed(CHUNKED, begun)
    assert grown(line, endless) < 4 * LIMITS["head_bytes"]
    assert line.fate == "closes"


def test_extensions_are_bounded_over_all_chunks(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(CHUNKED, *[b"1;" + b"x" * 1023 + b"\r\nx\r\n"] * 4)
    assert line.fate == "stays"
    line.feed(b"1;x\r\n")
    assert [str(refusal) for refusal in line.record.refusals] == ["too many chunk extensions"]


def test_nothing_remains_of_a_connection(engine: Any) -> None:
    """No cycle is left behind: memory is free at once, without a search for garbage."""

    def live() -> int:
        return sum(
            type(thing).__name__ in ("H1Endpoint", "H1Exchange") for thing in gc.get_objects()
        )

    gc.collect()
    gc.disable()
    try:
        before = live()
        for feed in ([request() * 3], [CHUNKED, b"1\r\nx\r\n", b"0\r\n\r\n"], [b"GET / HT"]):
            line = Line(engine, answer_ok)
            line.feed(*feed).lost()
            line.service.runs.clear()
            line.record.begun.clear()
            line.record.over.clear()
            del line
        assert live() == before
    finally:
        gc.enable()


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [b"ffffffffffffffff", b"8000000000000000", b"7fffffffffffffff"])
def test_a_chunk_as_large_as_can_be_told(engine: Any, size: bytes) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(CHUNKED + size + b"\r\n", b"x" * 1000)
    assert app.last.pull() == b"x" * 1000
    assert app.last.pull() is None
    line.eof()
    with pytest.raises(Disconnected):
        app.last.pull()


@pytest.mark.parametrize("size", [b"ffffffffffffffff", b"8000000000000000", b"7fffffffffffffff"])
def test_a_chunk_as_large_as_can_be_told_is_too_large(engine: Any, size: bytes) -> None:
    line = Line(engine, answer_ok, body_bytes=2**62)
    line.feed(CHUNKED + b"5\r\nhello\r\n" + size + b"\r\n")
    assert [type(refusal) for refusal in line.record.refusals] == [BodyTooLarge]


def test_a_size_of_too_many_digits(engine: Any) -> None:
    line = Line(engine, answer_ok)
    line.feed(CHUNKED + b"1" + b"0" * 16 + b"\r\n")
    assert [type(refusal) for refusal in line.record.refusals] == [ProtocolViolation]


def test_a_length_as_large_as_can_be_counted(engine: Any) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request(fields=["Content-Length: " + "9" * 18]) + b"x" * 1000)
    assert app.last.head.content_length == 10**18 - 1
    assert app.last.pull() == b"x" * 1000
    app.answer()
    assert line.fate == "closes", "nobody reads that to its end"


@pytest.mark.parametrize("length", [b"9" * 19, b"9" * 5000, b"0" * 19])
def test_an_application_cannot_declare_what_cannot_be_counted(engine: Any, length: bytes) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request())
    with pytest.raises(InvalidResponse):
        app.last.start(200, [(b"content-length", length)])
    app.last.start(200, [(b"content-length", b"9" * 18)])
    assert app.last.send(b"x")
    assert line.sent.endswith(b"\r\n\r\nx")


@pytest.mark.parametrize("count", [1, 5000])
def test_a_head_of_an_answer_larger_than_any_buffer(engine: Any, count: int) -> None:
    app = Held()
    line = Line(engine, app)
    line.feed(request() * 2)
    fields = [(b"x-%d" % number, b"v" * (1_000_000 // count)) for number in range(count)]
    app.answer(fields)
    app.answer()
    first, second = line.sent.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.startswith(b"".join(b"%b: %b\r\n" % field for field in fields))
    assert first.endswith(b"\r\n\r\nok")
    assert second.startswith(b"content-length: 2\r\ndate: ")


# --- an engine that is come back to -----------------------------------------------------------------


class Interrupting(bytes):
    """An option of a Connection field that answers another request when it is sorted."""

    act: Callable[[], None]

    def lower(self) -> Any:
        return self

    def strip(self, _: Any = None) -> Any:
        return self

    def split(self, *_: Any) -> Any:
        options = [Interrupting(b"x-a"), Interrupting(b"x-b")]
        for option in options:
            option.act = self.act
        return options

    def __lt__(self, other: Any) -> bool:
        self.act()
        return bytes(self) < bytes(other)

    __hash__ = bytes.__hash__


def test_two_answers_that_are_written_at_once_do_not_mix(engine: Any) -> None:
    """An object that ends its life may run anything, in the middle of anything."""
    first, second = Held(), Held()
    lines = [Line(engine, first).feed(request()), Line(engine, second).feed(request())]
    option = Interrupting(b"options")
    option.act = lambda: (
        second.last.state == states.AWAITED and second.answer([(b"x", b"y" * 200_000)])
    )
    first.answer([(b"a", b"b"), (b"connection", option)])
    assert lines[0].sent.startswith(b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\ndate: ")
    assert lines[0].sent.endswith(b"\r\nconnection: x-a, x-b\r\n\r\nok")
    assert lines[1].sent.startswith(b"HTTP/1.1 200 OK\r\nx: yyy")
    assert lines[1].sent.endswith(b"\r\n\r\nok")


def pulls(exchange: Exchange, act: Callable[[], None]) -> Generator[Any, None, None]:
    """Does something as soon as the body says anything."""
    if exchange.pull() is None:
        yield exchange.when_readable
    act()


@pytest.mark.parametrize(
    "rest", [b"5\r\nhello\r\n0\r\n\r\n", b"1\r\nx\r\n1\r\nx\r\nnonsense\r\n", b"x\r\n"]
)
def test_an_abort_while_the_body_is_fed(engine: Any, rest: bytes) -> None:
    line = Line(engine, lambda exchange: pulls(exchange, exchange.abort))
    line.feed(CHUNKED).feed(rest + request())
    assert line.fate == ("closes" if rest == b"x\r\n" else "resets"), "a fault is answered first"
    assert len(line.record.over) == 1
    line.lost()
    assert len(line.record.over) == 1


def test_an_answer_while_the_body_is_fed(engine: Any) -> None:
    def app(exchange: Exchange) -> Generator[Any, None, None]:
        yield from pulls(exchange, lambda: None)
        exchange.start(200, [])
        exchange.send(b"ok", last=True)

    line = Line(engine, app)
    line.feed(CHUNKED).feed(b"1\r\nx\r\n1\r\ny\r\n0\r\n\r\n" + request())
    assert line.sent.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert line.fate == "stays"


def test_a_drain_while_a_request_is_served(engine: Any) -> None:
    def app(exchange: Exchange) -> Generator[Any, None, None]:
        line.endpoint.drain(Leave(5))
        yield from answer_ok(exchange)

    line = Line(engine, app)
    line.feed(request() * 2)
    assert line.sent.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert line.sent.count(b"\r\nconnection: close\r\n") == 1
    assert line.fate == "closes"


def test_answers_from_within_what_follows_an_answer(engine: Any) -> None:
    """Each answer begins the next request, whose application answers at once: no recursion."""
    bodies: list[bytes] = []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        body = yield from read_all(exchange)
        bodies.append(body)
        exchange.start(200, [])
        exchange.send(b"", last=True)

    line = Line(engine, app)
    line.feed(request("POST", body=b"x")[:-1])
    line.feed(b"x" + request("POST", body=b"y") * 1000)
    assert bodies == [b"x"] + [b"y"] * 1000
    assert line.fate == "stays"


def test_a_limit_of_time_that_is_off_is_never_reached(engine: Any) -> None:
    off = dict.fromkeys([name for name in LIMITS if name.endswith("_timeout_s")], 0.0)
    line = Line(engine, answer_ok, **off)
    line.feed(CHUNKED).wait(10_000)
    assert line.endpoint.deadline == float("inf")
    assert line.fate == "stays"
