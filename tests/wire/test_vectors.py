"""Every vector on every engine, whatever the packets its bytes arrive in."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from granian_d.errors import RemoteError
from tests.wire.harness import ENGINES, Line, read_all, request
from tests.wire.vector_files import Seen, Vector, load, unescape

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from granian_d.http.exchange import Exchange

VECTORS = load()
_DATE = re.compile(
    rb"(?<=\r\ndate: )[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT(?=\r\n)"
)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
NEXT = request(path="/next")


def whole(data: bytes, _: random.Random) -> list[bytes]:
    return [data]


def by_octet(data: bytes, _: random.Random) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def in_two(data: bytes, dice: random.Random) -> list[bytes]:
    cut = dice.randint(0, len(data))
    return [data[:cut], data[cut:]]


def in_pieces(data: bytes, dice: random.Random) -> list[bytes]:
    cuts = sorted(dice.randint(0, len(data)) for _ in range(5))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


PACKETS: list[Callable[[bytes, random.Random], list[bytes]]] = [whole, by_octet, in_two, in_pieces]


class Application:
    """Runs the script of a vector and remembers what it saw."""

    def __init__(self, script: list[str]) -> None:
        self.script = script or ["read", "start 200", "last ok"]
        self.seen: list[tuple[Exchange, Seen]] = []

    def __call__(self, exchange: Exchange) -> Generator[Any, None, None]:
        head = exchange.head
        query = b"?" + head.query if head.query else b""
        seen = Seen(f"{head.method} {(head.raw_path + query).decode()} HTTP/{head.version}")
        seen.host = head.authority.decode("latin-1")
        seen.fields = head.fields
        seen.length = "chunked" if head.content_length is None else str(head.content_length)
        self.seen.append((exchange, seen))
        for step in self.script:
            verb, _, rest = step.partition(" ")
            if verb == "read":
                try:
                    seen.body = yield from read_all(exchange)
                except RemoteError as error:
                    seen.body_error = type(error).__name__
                    raise
            else:
                self._say(exchange, verb, rest)

    def _say(self, exchange: Exchange, verb: str, rest: str) -> None:
        if verb in ("start", "inform"):
            status, _, fields = rest.partition(" ")
            getattr(exchange, verb)(int(status), _pairs(fields))
        elif verb == "send":
            exchange.send(unescape(rest))
        elif verb == "last":
            exchange.send(unescape(rest), last=True)
        elif verb == "finish":
            exchange.finish(_pairs(rest))
        elif verb == "abort":
            exchange.abort()
        else:
            raise AssertionError(verb)


def _pairs(text: str) -> list[tuple[bytes, bytes]]:
    pairs = [pair.partition(":") for pair in text.split(" | ") if pair]
    return [(unescape(name), unescape(value.removeprefix(" "))) for name, _, value in pairs]


def play(engine: str, vector: Vector, pieces: list[bytes], eof: bool) -> tuple[Line, Application]:
    app = Application(vector.app)
    line = Line(ENGINES[engine], app, scheme=vector.scheme, **vector.limits)
    line.feed(*pieces)
    if eof:
        line.eof()
    return line, app


def statuses(line: Line) -> list[int]:
    return [int(status) for status in _STATUS_LINE.findall(line.sent)]


def refusals(line: Line) -> list[tuple[str, str]]:
    return [(str(refusal), refusal.section) for refusal in line.record.refusals]


def check(vector: Vector, line: Line, app: Application) -> None:
    assert [seen.line for _, seen in app.seen] == [seen.line for seen in vector.seen]
    for expected, (_, seen) in zip(vector.seen, app.seen, strict=True):
        if expected.host is not None:
            assert seen.host == expected.host
        for pair in expected.fields:
            assert pair in seen.fields
        names = {name for name, _ in seen.fields}
        assert not names & set(expected.without)
        if expected.length is not None:
            assert seen.length == expected.length
        if expected.body is not None:
            assert seen.body == expected.body
        assert seen.body_error == expected.body_error
    assert [type(fault).__name__ for fault in line.record.faults] == vector.faults
    assert statuses(line) == vector.answers
    assert line.fate == ("stays" if vector.connection == "waits" else vector.connection)
    assert vector.because in " ".join(str(refusal) for refusal in line.record.refusals)
    if vector.answer is not None:
        assert _DATE.sub(b"{date}", line.sent) == vector.answer
    answered = sum(status >= 200 for status in vector.answers)
    over = answered if vector.connection == "waits" else len(line.record.begun)
    assert len(line.record.over) == over


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("packets", PACKETS, ids=lambda packets: packets.__name__)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.key)
def test_vector(engine: str, packets: Any, vector: Vector) -> None:
    dice = random.Random(vector.key)
    reasons = refusals(play(engine, vector, [vector.sent], vector.eof)[0])
    for _ in range(1 if packets in (whole, by_octet) else 4):
        line, app = play(engine, vector, packets(vector.sent, dice), vector.eof)
        check(vector, line, app)
        assert refusals(line) == reasons


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v.connection == "stays"], ids=lambda vector: vector.key
)
def test_connection_that_stays_serves_the_next_request(engine: str, vector: Vector) -> None:
    """Pipelined in the same packet: the message ends exactly where we say that it ends."""
    line, app = play(engine, vector, [vector.sent + NEXT], eof=False)
    assert [seen.line for _, seen in app.seen][-1] == "GET /next HTTP/1.1"
    assert len(app.seen) == len(vector.seen) + 1
    assert statuses(line)[: len(vector.answers)] == vector.answers
    assert len(statuses(line)) > len(vector.answers)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "vector",
    # Not "expect": there the next bytes would be the body that the vector leaves out.
    [
        v
        for v in VECTORS
        if v.connection in ("closes", "resets") and not v.eof and v.file != "expect"
    ],
    ids=lambda vector: vector.key,
)
def test_connection_that_ends_serves_nothing_more(engine: str, vector: Vector) -> None:
    line, app = play(engine, vector, [vector.sent + NEXT], eof=False)
    check(vector, line, app)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v.connection == "waits"], ids=lambda vector: vector.key
)
def test_half_a_request_does_not_outlive_its_sender(engine: str, vector: Vector) -> None:
    line, _ = play(engine, vector, [vector.sent], eof=True)
    assert line.fate == "closes"
    assert statuses(line) == [*vector.answers, 400]
    assert len(line.record.over) == len(line.record.begun)
