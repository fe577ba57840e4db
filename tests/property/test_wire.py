"""Properties of every engine: packets do not matter, nothing raises, what is said arrives."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from granian_d.engine.contract import Leave
from granian_d.errors import ApplicationError, RemoteError
from granian_d.http import states
from tests.wire.harness import ENGINES, Line, answer_ok, read_all, request

if TYPE_CHECKING:
    from collections.abc import Generator

    from granian_d.http.exchange import Exchange

# Pieces out of which requests, half requests and nonsense are made.
FRAGMENTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n",
    b"POST /x?y HTTP/1.1\r\nHost: a\r\n",
    b"HEAD / HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"Host: b\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"X-Y:  z \r\n",
    b" folded\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"hello",
    b"5\r\nhello\r\n",
    b"5;x=y\r\nhello\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"G",
    b" ",
    b":",
    b"\0",
]
STREAMS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=6)), max_size=14).map(
    b"".join
)
GOOD_REQUESTS = st.lists(
    st.sampled_from(
        [
            request(),
            request("HEAD", "/a?b"),
            request("POST", body=b"hello"),
            request("POST", fields=["Expect: 100-continue"], body=b"hello"),
            request("PUT", fields=["Transfer-Encoding: chunked"])
            + b"3\r\nhel\r\n2;x\r\nlo\r\n0\r\nX: y\r\n\r\n",
            b"\r\n" + request(fields=["X: y"]),
            request(fields=["Connection: close"]),
        ]
    ),
    max_size=5,
).map(b"".join)

_VARIES = re.compile(rb"HTTP/1\.1 100 Continue\r\n\r\n|(?<=\r\ndate: )[^\r]*")


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted(c % (len(data) + 1) for c in cuts)
    return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]


def outcome(engine: str, pieces: list[bytes], eof: bool) -> tuple:
    """All that can be seen from both sides, but for what may depend on time."""
    bodies = []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        body = yield from read_all(exchange)
        bodies.append(body)
        yield from answer_ok(exchange)

    line = Line(ENGINES[engine], app, head_bytes=150, head_fields=4, body_bytes=12)
    line.feed(*pieces)
    if eof:
        line.eof()
    heads = [
        (e.head.method, e.head.raw_path, e.head.query, e.head.authority, e.head.fields, e.status)
        for e in line.record.begun
    ]
    refusals = [(type(refusal), str(refusal)) for refusal in line.record.refusals]
    return heads, bodies, refusals, _VARIES.sub(b"", line.sent), line.fate


@pytest.mark.parametrize("engine", ENGINES)
@given(
    stream=st.one_of(
        STREAMS, GOOD_REQUESTS, st.tuples(GOOD_REQUESTS, STREAMS).map(b"".join), st.binary()
    ),
    cuts=st.lists(st.integers(min_value=0, max_value=10_000), max_size=8),
    eof=st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_packets_do_not_matter(engine: str, stream: bytes, cuts: list[int], eof: bool) -> None:
    whole = outcome(engine, [stream], eof)
    assert outcome(engine, cut(stream, cuts), eof) == whole
    assert outcome(engine, [bytes([octet]) for octet in stream], eof) == whole


# --- whatever happens -----------------------------------------------------------------------------

MOVES = st.sampled_from(
    ["pull", "start", "send", "large", "last", "finish", "inform", "abort", "fail", "room"]
)
EVENTS = st.one_of(
    st.tuples(st.just("feed"), st.one_of(st.sampled_from(FRAGMENTS), GOOD_REQUESTS, st.binary())),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 3, 11, 45])),
    st.tuples(st.just("take"), st.integers(min_value=0, max_value=3000)),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("room"), st.none()),
    st.tuples(st.just("eof"), st.none()),
    st.tuples(st.just("drain"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("move"), MOVES),
    st.tuples(st.just("move"), MOVES),
)


def do(line: Line, event: str, value: Any, state: dict[str, bool]) -> None:
    """Play one event, as far as a transport or an application could cause it now."""
    open_ = line.fate == "stays"
    if event == "feed" and open_ and not state.get("eof"):
        line.feed(value)
    elif event == "wait":
        line.wait(value)
    elif event == "take":
        line.take(value)
    elif event == "expire" and open_:
        line.endpoint.expire()
    elif event == "room" and open_:
        line.endpoint.feed_room()
    elif event == "eof" and open_ and not state.get("eof"):
        state["eof"] = True
        line.eof()
    elif event == "drain" and open_ and not state.get("drain"):
        state["drain"] = True
        line.endpoint.drain(Leave(value))
    elif event == "move" and line.record.begun:
        move(line.record.begun[-1], value)


def move(exchange: Exchange, name: str) -> None:
    act = {
        "pull": exchange.pull,
        "start": lambda: exchange.start(200, []),
        "send": lambda: exchange.send(b"x"),
        "large": lambda: exchange.send(b"x" * 70_000),
        "last": lambda: exchange.send(b"y", last=True),
        "finish": exchange.finish,
        "inform": lambda: exchange.inform(103, []),
        "abort": exchange.abort,
        "fail": exchange.fail,
        "room": lambda: exchange.when_room(lambda: None),
    }[name]
    with suppress(ApplicationError, RemoteError):  # what the contract says that it may raise
        act()


@pytest.mark.parametrize("engine", ENGINES)
@given(
    events=st.lists(EVENTS, max_size=40),
    answers=st.lists(st.sampled_from(["ok", "held", "early", "crash"]), min_size=1, max_size=5),
)
@settings(max_examples=500, deadline=None)
def test_whatever_happens_every_exchange_ends_once(
    engine: str, events: list[tuple[str, Any]], answers: list[str]
) -> None:
    """The harness asserts that nothing is written behind the end, and nothing ends twice."""
    turns: list[str] = []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        turn = answers[len(turns) % len(answers)]
        turns.append(turn)
        if turn == "ok":
            yield from answer_ok(exchange)
        elif turn == "early":
            exchange.start(200, [])
            exchange.send(b"early", last=True)
        elif turn == "held":
            yield lambda _wake: None

    line = Line(ENGINES[engine], app, high_water=2000, head_bytes=500)
    state: dict[str, bool] = {}
    for event, value in events:
        do(line, event, value, state)
        over = [exchange for exchange in line.record.begun if exchange in line.record.over]
        assert line.record.begun[: len(over)] == over, "answered in turn"
        assert len(line.record.begun) - len(over) <= 1, "one at a time"
        if line.fate != "stays":
            assert len(over) == len(line.record.begun)
            assert line.endpoint.deadline == float("inf")
    line.lost()
    assert len(line.record.over) == len(line.record.begun)
    for exchange in line.record.begun:
        assert exchange.state in (states.FINISHED, states.ABORTED)


# --- what is said arrives -------------------------------------------------------------------------

TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=8).map(str.encode)
VALUES = st.binary(max_size=12).map(lambda raw: re.sub(rb"[\x00-\x1f\x7f]", b"", raw).strip(b" \t"))
OURS = {b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date", b"server"}
FIELDS = st.lists(
    st.tuples(TOKENS, VALUES).filter(lambda pair: pair[0].lower() not in OURS | {b"upgrade"}),
    max_size=5,
)


@pytest.mark.parametrize("engine", ENGINES)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    status=st.integers(min_value=200, max_value=999),
    fields=FIELDS,
    parts=st.lists(st.binary(max_size=300), max_size=5),
    declared=st.booleans(),
    trailers=FIELDS,
    marked=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_client_reads_what_the_application_said(
    engine: str,
    method: str,
    status: int,
    fields: list[tuple[bytes, bytes]],
    parts: list[bytes],
    declared: bool,
    trailers: list[tuple[bytes, bytes]],
    marked: bool,
) -> None:
    body = b"".join(parts)
    length = [(b"Content-Length", str(len(body)).encode())] if declared else []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        yield from read_all(exchange)
        exchange.start(status, [*fields, *length])
        for part in parts[:-1]:
            exchange.send(part)
        if marked and parts:
            exchange.send(parts[-1], last=True)
            return
        if parts:
            exchange.send(parts[-1])
        exchange.finish(trailers)

    client = h11.Connection(h11.CLIENT)
    wants = [("host", "a"), ("te", "trailers"), ("connection", "te")]
    sent = client.send(h11.Request(method=method, target="/", headers=wants))
    sent += client.send(h11.EndOfMessage()) or b""
    line = Line(ENGINES[engine], app)
    line.feed(sent)
    assert line.fate == "stays"
    client.receive_data(line.sent)

    head = client.next_event()
    assert type(head) is h11.Response
    assert head.status_code == status
    kept = [(name.lower(), value) for name, value in fields]
    assert [pair for pair in head.headers if pair[0] not in OURS] == kept
    got = b""
    while type(event := client.next_event()) is h11.Data:
        got += event.data
    assert type(event) is h11.EndOfMessage
    without = method == "HEAD" or status in (204, 205, 304)
    assert got == (b"" if without else body)
    assert client.next_event() is h11.PAUSED or client.trailing_data == (b"", False)


@pytest.mark.parametrize("engine", ENGINES)
@given(
    method=TOKENS,
    fields=FIELDS.map(
        lambda pairs: [p for p in pairs if p[0].lower() not in (b"host", b"expect", b"te")]
    ),
    body=st.one_of(st.none(), st.binary(max_size=50)),
    chunks=st.one_of(st.none(), st.lists(st.binary(min_size=1, max_size=20), max_size=4)),
)
@settings(max_examples=300, deadline=None)
def test_the_application_reads_what_a_client_said(
    engine: str,
    method: bytes,
    fields: list[tuple[bytes, bytes]],
    body: bytes | None,
    chunks: list[bytes] | None,
) -> None:
    """Nothing good is refused: h11's client writes, we read."""
    client = h11.Connection(h11.CLIENT)
    framing: list[tuple[bytes, bytes]] = []
    if chunks is not None:
        framing, body = [(b"transfer-encoding", b"chunked")], b"".join(chunks)
    elif body is not None:
        framing = [(b"content-length", str(len(body)).encode())]
    head = h11.Request(method=method, target="/x?y", headers=[(b"host", b"a"), *fields, *framing])
    sent = client.send(head)
    for part in chunks if chunks is not None else [body] if body else []:
        sent += client.send(h11.Data(data=part))
    sent += client.send(h11.EndOfMessage()) or b""
    bodies = []

    def app(exchange: Exchange) -> Generator[Any, None, None]:
        body = yield from read_all(exchange)
        bodies.append(body)
        yield from answer_ok(exchange)

    line = Line(ENGINES[engine], app)
    line.feed(sent)
    (exchange,) = line.record.begun
    assert exchange.head.method.encode() == method
    assert exchange.head.fields == [
        (b"host", b"a"), *((name.lower(), value) for name, value in fields), *framing
    ]  # fmt: skip
    assert bodies == [body or b""]
    assert line.fate == "stays"
