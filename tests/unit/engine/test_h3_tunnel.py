"""Extended CONNECT on HTTP/3 (RFC 9220): a stream as the wire of another protocol."""

from __future__ import annotations

from typing import Any

import pytest

from granian_d.engine import choose
from granian_d.engine.contract import Leave
from granian_d.errors import Disconnected
from granian_d.http import states
from tests.unit.engine.h3_peer import (
    DATA,
    FRAME_UNEXPECTED,
    GET,
    GREASE,
    MESSAGE_ERROR,
    NO_ERROR,
    REQUEST_CANCELLED,
    H3Peer,
    frame,
    headers,
    http3,
)
from tests.unit.engine.test_h2_tunnel import Protocol
from tests.unit.plan.specimens import WEBSOCKET
from tests.wire.harness import answer_ok

CONNECT = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "a"),
    ("sec-websocket-version", "13"),
]


class Tunnels:
    """A connection whose service accepts conversations when it is told to."""

    def __init__(self, **changes: Any) -> None:
        self.peer = H3Peer(answer_ok, websocket=WEBSOCKET, **changes)
        self.sessions: list[Any] = []
        self.peer.service.converse = self.sessions.append

    def connect(self, *, end: bool = False) -> tuple[int, Any]:
        stream = self.peer.ask(CONNECT, end=end)
        return stream, self.sessions[-1].exchange

    def open(self) -> tuple[int, Protocol, Any]:
        stream, exchange = self.connect()
        made: list[Protocol] = []

        def make(wire):
            made.append(Protocol(wire))
            return made[0]

        exchange.tunnel([(b"X-A", b"b")], make)
        self.peer.listen()
        return stream, made[0], exchange


def test_octets_both_ways():
    both = Tunnels()
    stream, protocol, exchange = both.open()
    answer = both.peer.answers[stream]
    assert (answer.status, answer.ended, exchange.status) == (200, False, 200)
    assert answer.fields[b"x-a"] == b"b"
    assert (exchange.head.protocol, exchange.head.version) == ("websocket", "3")
    assert exchange.state == states.TUNNEL
    assert protocol.wire.write(b"hello")
    both.peer.say(stream, frame(GREASE, b"x") + frame(DATA, b"you"))
    assert both.peer.answers[stream].body == b"hello"
    assert protocol.fed == [b"you"]
    assert both.peer.answers[both.peer.ask()].body == b"ok", "beside other requests"


def test_what_comes_before_the_answer_is_kept():
    both = Tunnels()
    stream, exchange = both.connect()
    both.peer.data(stream, b"a").data(stream, b"b", end=True)
    made = []
    exchange.tunnel([], lambda wire: made.append(Protocol(wire)) or made[0])
    assert made[0].fed == [b"a", b"b", "eof"]


def test_a_refusal_is_an_ordinary_answer():
    both = Tunnels()
    stream, exchange = both.connect()
    exchange.start(403, [])
    exchange.send(b"no", last=True)
    answer = both.peer.listen().answers[stream]
    assert (answer.status, answer.body, answer.ended, answer.reset) == (403, b"no", True, None)
    assert both.peer.link.stops == {stream: NO_ERROR}
    assert both.peer.record.over == [exchange]


def test_our_end_comes_first():
    both = Tunnels()
    stream, protocol, exchange = both.open()
    protocol.wire.write(b"bye")
    exchange.close_tunnel()
    protocol.wire.finish()
    answer = both.peer.listen().answers[stream]
    assert (answer.body, answer.ended) == (b"bye", True)
    both.peer.data(stream, b"dropped", end=True)
    assert protocol.fed == ["lost"]
    assert both.peer.record.over == [exchange]


def test_the_peer_s_end_comes_first():
    both = Tunnels()
    stream, protocol, exchange = both.open()
    both.peer.data(stream, b"bye", end=True)
    assert protocol.fed == [b"bye", "eof"]
    protocol.wire.write(b"and you")
    exchange.close_tunnel()
    protocol.wire.finish()
    answer = both.peer.listen().answers[stream]
    assert (answer.body, answer.ended, answer.reset) == (b"and you", True, None)
    assert protocol.fed == [b"bye", "eof", "lost"]


def test_a_peer_that_does_not_end_after_us():
    both = Tunnels(body_timeout_s=0.0)
    stream, protocol, exchange = both.open()
    exchange.close_tunnel()
    protocol.wire.finish()
    both.peer.listen()
    assert protocol.fed == []
    both.peer.wait(60)
    assert both.peer.link.stops == {stream: NO_ERROR}
    assert protocol.fed == ["lost"]


@pytest.mark.parametrize("who", ["we", "reset", "stop", "lost"])
def test_a_tunnel_that_is_cut(who):
    both = Tunnels()
    stream, protocol, exchange = both.open()
    if who == "we":
        exchange.close_tunnel()
        protocol.wire.abort()
    elif who == "lost":
        both.peer.lost()
    else:
        getattr(both.peer, who)(stream)
    assert protocol.fed == ["lost"]
    if who != "lost":
        assert both.peer.listen().answers[stream].reset == REQUEST_CANCELLED
        assert both.peer.fate is None
    exchange.close_tunnel()
    assert both.peer.record.over == [exchange]


def test_reset_behind_our_end():
    both = Tunnels()
    stream, protocol, exchange = both.open()
    exchange.close_tunnel()
    protocol.wire.finish()
    both.peer.listen().reset(stream)
    assert protocol.fed == ["lost"]


def test_cut_before_the_answer():
    both = Tunnels()
    stream, exchange = both.connect()
    both.peer.reset(stream)
    with pytest.raises(Disconnected):
        exchange.tunnel([], Protocol)


def test_a_pause_withholds_the_window():
    both = Tunnels()
    stream, protocol, _ = both.open()
    before = both.peer.link.credit[stream]
    protocol.wire.pause()
    both.peer.data(stream, b"x" * 1000)
    assert both.peer.link.credit[stream] == before + 3
    protocol.wire.resume()
    assert both.peer.link.credit[stream] == before + 1003
    both.peer.data(stream, b"x" * 1000)
    assert both.peer.link.credit[stream] == before + 2006


def test_a_peer_that_does_not_read_holds_us_up():
    both = Tunnels(http3=http3(send_buffer_bytes=100))
    stream, protocol, _ = both.open()
    both.peer.link.rooms[stream] = 0
    assert protocol.wire.write(b"x" * 90)
    assert not protocol.wire.write(b"x" * 90)
    assert protocol.wire.queued_bytes() == 186, "with the heads of the frames"
    both.peer.room(stream, 130)
    assert protocol.fed == []
    both.peer.room(stream, 10)
    assert protocol.fed == ["room"]
    both.peer.room(stream, 1000)
    assert both.peer.answers[stream].body == b"x" * 180


def test_a_tunnel_whose_data_nobody_takes():
    both = Tunnels(write_timeout_s=5.0)
    stream, protocol, _ = both.open()
    both.peer.link.rooms[stream] = 0
    protocol.wire.write(b"x" * 20)
    both.peer.wait(6)
    assert both.peer.answers[stream].reset == REQUEST_CANCELLED
    assert protocol.fed == ["lost"]


def test_time_in_a_tunnel():
    both = Tunnels()
    _, protocol, _ = both.open()
    protocol.deadline = both.peer.clock.now + 3
    both.peer.wait(2)
    assert protocol.fed == []
    both.peer.wait(2)
    assert protocol.fed == ["expired"]


def test_a_drain_is_passed_on():
    both = Tunnels()
    stream, protocol, exchange = both.open()
    leave = Leave(0.0, 5.0)
    both.peer.endpoint.drain(leave)
    assert protocol.fed == [leave]
    exchange.close_tunnel()
    protocol.wire.finish()
    both.peer.data(stream, b"", end=True)
    assert both.peer.code == NO_ERROR


def test_a_tunnel_that_is_made_during_a_drain():
    both = Tunnels()
    _, exchange = both.connect()
    leave = Leave(60.0)
    both.peer.endpoint.drain(leave)
    made = []
    exchange.tunnel([], lambda wire: made.append(Protocol(wire)) or made[0])
    assert made[0].fed == [leave]


@pytest.mark.parametrize("answered", [True, False])
def test_a_section_in_a_tunnel(answered):
    """RFC 9114 4.4: whether we have answered does not matter."""
    both = Tunnels()
    stream = both.open()[0] if answered else both.connect()[0]
    both.peer.say(stream, headers([("t", "u")]))
    assert both.peer.code == FRAME_UNEXPECTED
    assert len(both.peer.record.begun) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [((":protocol", "connect-udp"), 501), (("sec-websocket-version", "8"), 426)],
)
def test_what_is_not_spoken(change, status):
    both = Tunnels()
    fields = [pair for pair in CONNECT if pair[0] != change[0]]
    fields.insert(1 if change[0][0] == ":" else len(fields), change)
    stream = both.peer.ask(fields, end=False)
    answer = both.peer.answers[stream]
    assert (answer.status, answer.ended) == (status, True)
    if status == 426:
        assert answer.fields[b"sec-websocket-version"] == b"13"
    assert both.sessions == []


def test_where_there_are_no_conversations():
    peer = H3Peer(answer_ok)
    stream = peer.ask(CONNECT, end=False)
    assert peer.answers[stream].reset == MESSAGE_ERROR
    assert peer.answers[peer.ask(GET)].body == b"ok"


def test_an_early_conversation_waits():
    both = Tunnels()
    both.peer.link.established = False
    both.peer.link.early = {0}
    both.peer.ask(CONNECT, end=False)
    assert both.sessions == []
    both.peer.link.established = True
    both.peer.endpoint.feed_established()
    assert len(both.sessions) == 1


@pytest.mark.parametrize(
    "engine", [name for name in ("pure", "native") if choose.is_compiled() or name == "pure"]
)
def test_a_websocket_end_to_end(engine):
    """With each engine's own codec: a text is echoed, then both say Close."""
    both = Tunnels(engine=engine)
    stream, _ = both.connect()
    session = both.sessions[-1]
    assert type(session).__module__.startswith(f"granian_d.engine.{engine}")
    session.accept(None, [])

    def echo():
        while (message := session.pull()) is not None:
            session.send(message)
        session.when_readable(echo)

    session.when_readable(echo)
    mask = b"\0\0\0\0"
    both.peer.data(stream, b"\x81\x82" + mask + b"hi")
    assert both.peer.answers[stream].body == b"\x81\x02hi"
    session.when_readable(lambda: None)
    both.peer.data(stream, b"\x88\x82" + mask + b"\x03\xe8", end=True)
    answer = both.peer.answers[stream]
    assert answer.body == b"\x81\x02hi\x88\x02\x03\xe8"
    assert (answer.ended, answer.reset) == (True, None)
    assert len(both.peer.record.over) == 1
