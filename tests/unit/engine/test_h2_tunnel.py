"""Extended CONNECT (RFC 8441): a stream as the wire of another protocol."""

from __future__ import annotations

import pytest

from granian_d.engine.contract import NEVER, Leave
from granian_d.errors import Disconnected
from granian_d.http import states
from tests.unit.engine.h2_peer import (
    CANCEL,
    GET,
    H2_ENGINES,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PROTOCOL_ERROR,
    H2Peer,
    http2,
    line,
    meet,
)
from tests.unit.plan.specimens import WEBSOCKET
from tests.wire.harness import FINISHED, OPEN, RESET, Scripted, answer_ok

pytestmark = pytest.mark.parametrize("engine", H2_ENGINES)

CONNECT = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/chat"),
    (":authority", "a"),
    ("sec-websocket-version", "13"),
]


class Protocol:
    """What is tunnelled: remembers what it is fed, as an Endpoint is."""

    def __init__(self, wire):
        self.wire = wire
        self.fed = []
        self.deadline = NEVER

    def feed_data(self, data):
        self.fed.append(data)

    def feed_eof(self):
        self.fed.append("eof")

    def feed_lost(self):
        self.fed.append("lost")

    def feed_room(self):
        self.fed.append("room")

    def expire(self):
        self.fed.append("expired")
        self.deadline = NEVER

    def drain(self, leave):
        self.fed.append(leave)


class Tunnels:
    """A connection whose service accepts conversations when it is told to."""

    def __init__(self, engine, values=None, **limits):
        self.line = line(engine, answer_ok, websocket=WEBSOCKET, **limits)
        self.sessions = []
        service = self.line.service
        assert isinstance(service, Scripted)
        service.converse = self.sessions.append
        self.peer = H2Peer(self.line, values)

    def connect(self, end=False):
        stream = self.peer.ask(CONNECT, end=end)
        return stream, self.sessions[-1].exchange

    def open(self):
        stream, exchange = self.connect()
        made = []

        def make(wire):
            made.append(Protocol(wire))
            return made[0]

        exchange.tunnel([(b"X-A", b"b")], make)
        self.peer.listen()
        return stream, made[0], exchange


def test_octets_both_ways(engine):
    both = Tunnels(engine)
    stream, protocol, exchange = both.open()
    answer = both.peer.answers[stream]
    assert (answer.status, answer.ended, exchange.status) == (200, False, 200)
    assert answer.fields[b"x-a"] == b"b"
    assert exchange.head.protocol == "websocket"
    assert exchange.state == states.TUNNEL
    assert protocol.wire.write(b"hello")
    both.peer.data(stream, b"you")
    assert both.peer.listen().answers[stream].body == b"hello"
    assert protocol.fed == [b"you"]
    assert both.peer.answers[both.peer.ask()].body == b"ok", "beside other requests"


def test_what_comes_before_the_answer_is_kept(engine):
    both = Tunnels(engine)
    stream, exchange = both.connect()
    both.peer.data(stream, b"a").data(stream, b"b", end=True)
    made = []
    exchange.tunnel([], lambda wire: made.append(Protocol(wire)) or made[0])
    assert b"".join(made[0].fed[:-1]) == b"ab"
    assert made[0].fed[-1] == "eof"


def test_a_refusal_is_an_ordinary_answer(engine):
    both = Tunnels(engine)
    stream, exchange = both.connect()
    exchange.start(403, [])
    exchange.send(b"no", last=True)
    answer = both.peer.listen().answers[stream]
    assert (answer.status, answer.body, answer.ended, answer.reset) == (403, b"no", True, NO_ERROR)
    assert both.line.record.over == [exchange]


def test_our_end_comes_first(engine):
    both = Tunnels(engine)
    stream, protocol, exchange = both.open()
    protocol.wire.write(b"bye")
    exchange.close_tunnel()
    protocol.wire.finish()
    answer = both.peer.listen().answers[stream]
    assert (answer.body, answer.ended) == (b"bye", True)
    both.peer.data(stream, b"dropped", end=True)
    assert protocol.fed == ["lost"]
    assert both.line.record.over == [exchange]
    assert both.line.fate == OPEN


def test_the_peer_s_end_comes_first(engine):
    both = Tunnels(engine)
    stream, protocol, exchange = both.open()
    both.peer.data(stream, b"bye", end=True)
    assert protocol.fed == [b"bye", "eof"]
    protocol.wire.write(b"and you")
    exchange.close_tunnel()
    protocol.wire.finish()
    answer = both.peer.listen().answers[stream]
    assert (answer.body, answer.ended, answer.reset) == (b"and you", True, None)
    assert protocol.fed == [b"bye", "eof", "lost"]


def test_a_peer_that_does_not_end_after_us(engine):
    both = Tunnels(engine, body_timeout_s=0.0)
    stream, protocol, exchange = both.open()
    exchange.close_tunnel()
    protocol.wire.finish()
    both.line.wait(60)
    assert both.peer.listen().answers[stream].reset is not None
    assert protocol.fed == ["lost"]


def test_a_reset_by_us(engine):
    both = Tunnels(engine)
    stream, protocol, exchange = both.open()
    exchange.close_tunnel()
    protocol.wire.abort()
    assert both.peer.listen().answers[stream].reset == CANCEL
    assert protocol.fed == ["lost"]
    assert both.line.fate == OPEN


def test_a_reset_by_the_peer(engine):
    both = Tunnels(engine)
    stream, protocol, exchange = both.open()
    both.peer.reset(stream)
    assert protocol.fed == ["lost"]
    exchange.close_tunnel()
    assert both.line.record.over == [exchange]


def test_the_connection_is_lost(engine):
    both = Tunnels(engine)
    _, protocol, exchange = both.open()
    both.line.lost()
    assert protocol.fed == ["lost"]
    exchange.close_tunnel()
    assert both.line.record.over == [exchange]


def test_lost_before_the_answer(engine):
    both = Tunnels(engine)
    stream, exchange = both.connect()
    both.peer.reset(stream)
    assert exchange.gone
    with pytest.raises(Disconnected):
        exchange.tunnel([], Protocol)


def test_a_pause_withholds_the_window(engine):
    both = Tunnels(engine, http2=http2(stream_window_bytes=65_535))
    stream, protocol, _ = both.open()
    protocol.wire.pause()
    for _ in range(3):
        both.peer.data(stream, b"x" * 16_384)
    assert both.peer.credit.get(stream, 0) == 0
    protocol.wire.resume()
    assert both.peer.listen().credit[stream] == 3 * 16_384
    both.peer.data(stream, b"x" * 16_384).data(stream, b"x" * 16_384).data(stream, b"x" * 16_384)
    assert both.peer.listen().credit[stream] >= 6 * 16_384 - 32_768
    assert sum(map(len, protocol.fed)) == 6 * 16_384


def test_the_peer_s_window_holds_us_up(engine):
    both = Tunnels(engine, {INITIAL_WINDOW_SIZE: 10}, http2=http2(send_buffer_bytes=100))
    stream, protocol, _ = both.open()
    assert protocol.wire.write(b"x" * 110), "10 are sent, 100 wait"
    assert not protocol.wire.write(b"x")
    assert protocol.wire.queued_bytes() == 101
    both.peer.grant(stream, 50)
    assert protocol.fed == []
    both.peer.grant(stream, 1)
    assert protocol.fed == ["room"]
    both.peer.grant(stream, 1000)
    assert protocol.wire.queued_bytes() == 0
    assert both.peer.answers[stream].body == b"x" * 111


def test_time_in_a_tunnel(engine):
    both = Tunnels(engine)
    _, protocol, _ = both.open()
    protocol.deadline = both.line.clock.now + 3
    assert both.line.endpoint.deadline <= protocol.deadline
    both.line.wait(2)
    assert protocol.fed == []
    both.line.wait(2)
    assert protocol.fed == ["expired"]


def test_a_drain_is_passed_on(engine):
    both = Tunnels(engine)
    _, protocol, exchange = both.open()
    leave = Leave(60.0, 5.0)
    both.line.endpoint.drain(leave)
    assert protocol.fed == [leave]
    both.line.endpoint.drain(Leave(0.0))
    assert protocol.fed == [leave, Leave(0.0)]
    assert both.line.fate == OPEN
    exchange.close_tunnel()
    protocol.wire.finish()
    both.peer.listen()


def test_a_tunnel_that_is_made_during_a_drain(engine):
    both = Tunnels(engine)
    _, exchange = both.connect()
    leave = Leave(60.0)
    both.line.endpoint.drain(leave)
    made = []
    exchange.tunnel([], lambda wire: made.append(Protocol(wire)) or made[0])
    assert made[0].fed == [leave]


def test_the_last_tunnel_ends_a_connection_that_is_drained(engine):
    both = Tunnels(engine)
    stream, protocol, exchange = both.open()
    both.line.endpoint.drain(Leave(0.0))
    exchange.close_tunnel()
    protocol.wire.finish()
    both.peer.data(stream, b"", end=True)
    assert both.line.fate == FINISHED


def test_a_tunnel_whose_data_nobody_takes(engine):
    both = Tunnels(engine, {INITIAL_WINDOW_SIZE: 10}, write_timeout_s=5.0)
    stream, protocol, _ = both.open()
    protocol.wire.write(b"x" * 20)
    both.line.wait(6)
    assert both.peer.listen().answers[stream].reset == CANCEL
    assert protocol.fed == ["lost"]
    assert both.line.fate != RESET


def test_trailers_in_a_tunnel(engine):
    both = Tunnels(engine)
    stream, protocol, _ = both.open()
    both.peer.say(both.peer.headers(stream, [("t", "u")]))
    assert both.peer.answers[stream].reset == PROTOCOL_ERROR
    assert protocol.fed == ["lost"]


@pytest.mark.parametrize(
    ("change", "status"),
    [((":protocol", "connect-udp"), 501), (("sec-websocket-version", "8"), 426)],
)
def test_what_is_not_spoken(engine, change, status):
    both = Tunnels(engine)
    fields = [pair for pair in CONNECT if pair[0] != change[0]]
    fields.insert(1 if change[0][0] == ":" else len(fields), change)
    stream = both.peer.ask(fields, end=False)
    answer = both.peer.answers[stream]
    assert (answer.status, answer.ended) == (status, True)
    if status == 426:
        assert answer.fields[b"sec-websocket-version"] == b"13"
    assert both.sessions == []


def test_where_there_are_no_conversations(engine):
    peer = meet(engine, answer_ok)
    stream = peer.ask(CONNECT, end=False)
    assert peer.answers[stream].reset == PROTOCOL_ERROR
    assert peer.answers[peer.ask(GET)].body == b"ok"


def test_a_websocket_end_to_end(engine):
    """With the engine's own codec: a text is echoed, then both say Close."""
    both = Tunnels(engine)
    stream, _ = both.connect()
    session = both.sessions[-1]
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
    assert len(both.line.record.over) == 1
