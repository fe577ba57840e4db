"""What a connection of HTTP/1.1 becomes at the request of its peer (RFC 9110 7.8)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded

from granian_d.engine.contract import Leave
from granian_d.errors import FlowError, SessionClosed
from granian_d.http import states
from granian_d.http.session import CLOSED, OFFERED, OPEN, Session
from tests.unit.http.test_states import MOVES
from tests.unit.plan.specimens import WEBSOCKET
from tests.wire.harness import ENGINES, RESET, Line, answer_ok, request
from tests.wire.harness import OPEN as OPEN_WIRE

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HANDSHAKE = (
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)
HELLO = bytes([0x81, 0x85, 1, 2, 3, 4, 105, 103, 111, 104, 110])  # a masked text
PONGED = bytes([0x8A, 0])
PING = bytes([0x89, 0x80, 1, 2, 3, 4])


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


class Sessions:
    """A line whose service keeps the conversations that are offered to it."""

    def __init__(self, engine: str, **limits: Any) -> None:
        self.line = Line(ENGINES[engine], answer_ok, **{"websocket": WEBSOCKET} | limits)
        self.offered: list[Session] = []
        self.on_offer: Callable[[Session], None] = lambda _session: None
        self.line.service.converse = self._converse  # type: ignore[attr-defined] - see above

    def _converse(self, session: Session) -> None:
        self.offered.append(session)
        self.on_offer(session)


def handshake(*changes: str, method: str = "GET") -> bytes:
    """The one above, with fields of `changes` in the place of those of their names."""
    changed = {line.partition(":")[0] for line in changes}
    kept = [line for line in HANDSHAKE if line.partition(":")[0] not in changed]
    return request(method, fields=[*kept, *(line for line in changes if line.partition(":")[2])])


def test_a_conversation_is_offered_and_accepted(engine):
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake())
    [session] = sessions.offered
    assert session.exchange.head.protocol == "websocket"
    assert (session.state, line.sent) == (OFFERED, b"")
    session.accept(None, [(b"x-more", b"1")])
    assert session.state == OPEN
    head, _, rest = line.sent.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert {b"connection: Upgrade", b"upgrade: websocket", b"x-more: 1"} <= set(lines)
    assert b"sec-websocket-accept: " + ACCEPT in lines
    assert rest == b""
    assert session.exchange.status == 101
    line.feed(HELLO)
    assert session.pull() == "hello"
    assert line.record.over == []
    line.lost()
    assert session.state == CLOSED
    assert line.record.over == [session.exchange]


@pytest.mark.parametrize("move", MOVES)
def test_a_tunnel_takes_no_move_of_a_response(engine, move):
    """The row of the table that a plain request cannot come to (http.states)."""
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake())
    [session] = sessions.offered
    session.accept(None, [])
    exchange = session.exchange
    assert exchange.state == states.TUNNEL
    if move == "abort":  # ends responses alone: a conversation has an end of its own
        exchange.abort()
    else:
        with pytest.raises(FlowError):
            MOVES[move](exchange)
    assert (exchange.state, line.fate) == (states.TUNNEL, OPEN_WIRE)
    exchange.close_tunnel()
    assert exchange.state == states.FINISHED


@pytest.mark.parametrize("at_once", [True, False])
def test_frames_behind_the_handshake(engine, at_once):
    """What comes before the application has accepted belongs to the conversation."""
    sessions = Sessions(engine)
    if at_once:
        sessions.on_offer = lambda session: session.accept(None, [])
    line = sessions.line.feed(handshake() + PING, HELLO)
    [session] = sessions.offered
    if not at_once:
        assert line.sent == b""
        session.accept(None, [])
    assert session.pull() == "hello"
    assert line.sent.endswith(b"\r\n\r\n" + PONGED)


def test_too_many_frames_before_the_answer_wait(engine):
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake(), *[HELLO] * 8000)
    assert line.wire.paused
    [session] = sessions.offered
    session.accept(None, [])
    said = 0
    while session.pull() is not None:
        said += 1
    assert said == 8000
    assert not line.wire.paused


def test_the_end_of_the_stream_before_the_answer(engine):
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake()).eof()
    [session] = sessions.offered
    assert session.exchange.gone
    assert (session.state, session.code) == (CLOSED, 1006)
    with pytest.raises(SessionClosed):
        session.accept(None, [])
    session.exchange.abort()
    assert line.fate == RESET


def test_a_drain_before_the_answer_holds_for_the_conversation(engine):
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake())
    line.endpoint.drain(Leave(1.0, 10.0, restarting=True))
    [session] = sessions.offered
    session.accept(None, [])
    line.wait(11)
    assert line.sent.endswith(bytes([0x88, 2]) + (1012).to_bytes(2, "big"))


def test_a_refusal_is_an_ordinary_answer(engine):
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake())
    exchange = sessions.offered[0].exchange
    exchange.start(403, [])
    exchange.send(b"no", last=True)
    assert line.sent.startswith(b"HTTP/1.1 403 ")
    line.feed(request())
    assert line.sent.count(b"HTTP/1.1 200 ") == 1, "the connection stays"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        (("Sec-WebSocket-Key: short",), 400),
        (("Sec-WebSocket-Key:",), 400),
        (("Sec-WebSocket-Version: 8",), 426),
    ],
)
def test_a_bad_handshake_is_refused(engine, changes, status):
    sessions = Sessions(engine)
    line = sessions.line.feed(handshake(*changes))
    assert sessions.offered == []
    assert line.sent.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nsec-websocket-version: 13\r\n" in line.sent) == (status == 426)
    assert (b"\r\nupgrade: websocket\r\n" in line.sent) == (status == 426)
    assert [violation.http_status for violation in line.record.refusals] == [status]


def as_old(octets: bytes) -> bytes:
    return octets.replace(b"HTTP/1.1", b"HTTP/1.0")


@pytest.mark.parametrize(
    ("octets", "limits"),
    [
        (handshake(), {"websocket": None}),
        (handshake("Connection: keep-alive"), {}),
        (handshake("Upgrade: irc/6.9"), {}),
        (as_old(handshake()), {}),
        (handshake("Content-Length: 2", method="POST") + b"ab", {}),
    ],
)
def test_an_upgrade_that_is_not_for_us_is_ignored(engine, octets, limits):
    sessions = Sessions(engine, **limits)
    line = sessions.line.feed(octets)
    assert sessions.offered == []
    assert line.sent.startswith(b"HTTP/1.1 200 ")


# --- h2c -----------------------------------------------------------------------------------------


def ask_for_h2(settings: bytes, *fields: str, connection: str = "Upgrade, HTTP2-Settings") -> bytes:
    names = [f"HTTP2-Settings: {settings.decode()}"] if settings else []
    return request(fields=[f"Connection: {connection}", "Upgrade: h2c", *names, *fields])


@pytest.mark.parametrize("behind", [True, False])
def test_the_request_is_the_first_stream(engine, behind):
    client = H2Connection()
    settings = client.initiate_upgrade_connection()
    line = Line(ENGINES[engine], answer_ok, h2c=True)
    first = client.data_to_send()
    octets = ask_for_h2(settings or b"AAQAAP__")
    line.feed(octets + first) if behind else line.feed(octets, first)
    head, _, rest = line.sent.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 101 Switching Protocols"
    assert {b"connection: Upgrade", b"upgrade: h2c"} == set(head.split(b"\r\n")[1:])
    events = client.receive_data(rest)
    [response] = [event for event in events if isinstance(event, ResponseReceived)]
    assert response.stream_id == 1
    assert dict(response.headers)[b":status"] == b"200"
    assert [event.data for event in events if isinstance(event, DataReceived)] == [b"ok"]
    assert any(isinstance(event, StreamEnded) for event in events)
    [exchange] = line.record.over
    assert exchange.head.version == "2"
    assert exchange.head.authority == b"example.org"
    assert {name for name, _ in exchange.head.fields} == set()


def test_a_large_answer_waits_for_the_preface(engine):
    """curl takes 32 KiB behind the 101, and no octet more."""

    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x" * 60_000, last=True)
        yield from ()

    client = H2Connection()
    settings = client.initiate_upgrade_connection()
    line = Line(ENGINES[engine], app, h2c=True).feed(ask_for_h2(settings or b"AAQAAP__"))
    assert len(line.sent) < 32768
    line.feed(client.data_to_send())
    events = client.receive_data(line.sent.partition(b"\r\n\r\n")[2])
    assert sum(len(event.data) for event in events if isinstance(event, DataReceived)) == 60_000


GOOD = base64.urlsafe_b64encode(bytes(6)).rstrip(b"=")


@pytest.mark.parametrize(
    ("octets", "facts"),
    [
        (ask_for_h2(GOOD), {"h2c": False}),
        (ask_for_h2(GOOD), {"scheme": "https"}),
        (ask_for_h2(b""), {}),
        (ask_for_h2(GOOD, f"HTTP2-Settings: {GOOD.decode()}"), {}),
        (ask_for_h2(GOOD, connection="Upgrade"), {}),
        (ask_for_h2(b"AAAA"), {}),
        (ask_for_h2(b"!"), {}),
        (ask_for_h2(GOOD, "Content-Length: 2") + b"ab", {}),
    ],
)
def test_who_does_not_ask_properly_stays(engine, octets, facts):
    line = Line(ENGINES[engine], answer_ok, **{"h2c": True} | facts).feed(octets)
    assert line.sent.startswith(b"HTTP/1.1 200 ")
    assert line.record.over[0].head.version == "1.1"
