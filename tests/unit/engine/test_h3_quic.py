"""HTTP/3 on QUIC in memory, asked by the client of aioquic: a second opinion on all of it."""

from __future__ import annotations

from typing import Any

import pytest
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.events import StopSendingReceived, StreamReset

from granian_d.engine.contract import Clock, Leave
from granian_d.engine.pure.h3.endpoint import H3Endpoint
from tests.unit.engine.h3_peer import NO_ERROR, REQUEST_REJECTED
from tests.unit.engine.quic_peer import Client, Net
from tests.unit.engine.test_h3_requests import echo, forever, never
from tests.unit.plan.specimens import HTTP3, WEBSOCKET, limits
from tests.wire.harness import LIMITS, Record, Scripted, answer_ok

GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/"),
]
POST = [(b":method", b"POST"), *GET[1:]]


class Browser(Client):
    """A client with HTTP/3 of aioquic on it."""

    h3: Any = None

    def take(self) -> None:
        if self.h3 is None:
            self.h3, self.answers = H3Connection(self.quic), {}
        while (event := self.quic.next_event()) is not None:
            self.events.append(event)
            for told in self.h3.handle_event(event):
                self.answers.setdefault(told.stream_id, []).append(told)

    def fetch(self, fields: Any = GET, body: bytes | None = None, *, last: bool = True) -> int:
        stream = self.quic.get_next_available_stream_id()
        self.h3.send_headers(stream, fields, end_stream=body is None and last)
        if body is not None:
            self.h3.send_data(stream, body, last)
        self.transmit()
        return stream

    def sections(self, stream: int) -> list[list[tuple[bytes, bytes]]]:
        told = self.answers.get(stream, [])
        return [event.headers for event in told if isinstance(event, HeadersReceived)]

    def body(self, stream: int) -> bytes:
        told = self.answers.get(stream, [])
        return b"".join(event.data for event in told if isinstance(event, DataReceived))

    def is_whole(self, stream: int) -> bool:
        return any(event.stream_ended for event in self.answers.get(stream, []))


class Meeting:
    """A client of aioquic and a server of ours."""

    def __init__(
        self, app: Any, *, http3: Any = HTTP3, early_data: bool = False, **changes: Any
    ) -> None:
        self.net = Net()
        self.clock = Clock(1000.0)
        self.record = Record()
        self.service = Scripted(app, self.record)
        terms = limits(**{**LIMITS, "http3": http3, **changes})
        self.server = self.net.server(
            http3=http3,
            early_data=early_data,
            maker=lambda link, *_: H3Endpoint("auto", link, self.service, terms, self.clock),
        )
        self.client = Browser(self.net, self.server)
        self.client.connect()
        self.run()

    @property
    def endpoint(self) -> H3Endpoint:
        return self.server.endpoints[0]

    def run(self, seconds: float = 1.0) -> None:
        self.net.run(seconds)


def test_a_request_and_its_answer():
    both = Meeting(answer_ok)
    stream = both.client.fetch()
    both.run()
    [section] = both.client.sections(stream)
    assert section[0] == (b":status", b"200")
    assert dict(section)[b"content-length"] == b"2"
    assert (both.client.body(stream), both.client.is_whole(stream)) == (b"ok", True)
    [exchange] = both.record.over
    assert exchange.peer.tls.version == 0x0304
    assert both.client.h3.received_settings[6] == 65536


def test_interims_bodies_and_trailers():
    def app(exchange):
        exchange.inform(103, [(b"link", b"</x>")])
        yield from echo(exchange)

    both = Meeting(app)
    stream = both.client.fetch(POST, b"x" * 300_000)
    both.run(5)
    interim, final = both.client.sections(stream)
    assert interim == [(b":status", b"103"), (b"link", b"</x>")]
    assert final[0] == (b":status", b"200")
    assert both.client.body(stream) == b"x" * 300_000


def test_uploads_and_answers_beyond_all_windows():
    """Windows are given back, a slow application holds its peer up, and all of it arrives."""

    def app(exchange):
        exchange.start(200, [])
        while (part := exchange.pull()) != b"":
            if part is None:
                yield exchange.when_readable
            elif not exchange.send(part):
                yield exchange.when_room
        exchange.finish([(b"t", b"u")])

    both = Meeting(app)
    sent = bytes(range(256)) * 4096 * 3
    streams = [both.client.fetch([*POST, (b"te", b"trailers")], sent) for _ in range(2)]
    both.run(60)
    for stream in streams:
        assert both.client.body(stream) == sent
        assert both.client.sections(stream)[1] == [(b"t", b"u")]
    assert len(both.record.over) == 2


def test_an_upload_that_nobody_reads_is_held_up():
    both = Meeting(never)
    stream = both.client.fetch(POST, b"x" * 1_000_000)
    both.run(5)
    [exchange] = both.record.begun
    assert exchange.received_bytes <= HTTP3.stream_window_bytes
    exchange.start(200, [])
    exchange.send(b"no", last=True)
    both.run(5)
    assert both.client.body(stream) == b"no"
    stops = [event for event in both.client.events if isinstance(event, StopSendingReceived)]
    assert [(event.stream_id, event.error_code) for event in stops] == [(stream, NO_ERROR)]


def test_a_hundred_at_once():
    both = Meeting(echo)
    streams = [both.client.fetch(POST, b"%d" % number) for number in range(100)]
    both.run(5)
    assert [both.client.body(stream) for stream in streams] == [b"%d" % n for n in range(100)]
    more = [both.client.fetch() for _ in range(100)]
    both.run(5)
    assert all(both.client.is_whole(stream) for stream in more), "streams are given back"


def test_packets_that_are_lost():
    both = Meeting(echo)
    lost = iter(range(10_000))
    both.net.judge = lambda datagram, up: None if next(lost) % 7 == 3 else 0.01
    streams = [both.client.fetch(POST, bytes([n]) * 50_000) for n in range(5)]
    both.run(60)
    assert [both.client.body(s) for s in streams] == [bytes([n]) * 50_000 for n in range(5)]


def test_a_reset_and_what_was_not_wanted():
    both = Meeting(never)
    stream = both.client.fetch(POST, b"part", last=False)
    both.run()
    both.client.quic.reset_stream(stream, 0x10C)
    both.client.quic.stop_stream(stream, 0x10C)
    both.client.transmit()
    both.run()
    assert both.record.over == both.record.begun
    assert both.record.over[0].gone


def test_a_drain():
    both = Meeting(echo)
    slow = both.client.fetch(POST, b"be", last=False)
    both.run()
    both.endpoint.drain(Leave(30.0))
    late = both.client.fetch()
    both.run(5)
    assert both.client.is_whole(late), "it was under way"
    refused = both.client.fetch()
    both.run()
    resets = [event for event in both.client.events if isinstance(event, StreamReset)]
    assert [(event.stream_id, event.error_code) for event in resets] == [
        (refused, REQUEST_REJECTED)
    ]
    both.client.h3.send_data(slow, b"gun", True)
    both.client.transmit()
    both.run()
    assert both.client.body(slow) == b"begun"
    assert both.client.end.error_code == NO_ERROR
    assert both.server.open == []


@pytest.mark.parametrize("idle_s", [0.0, 30.0])
def test_a_drain_without_requests_takes_no_more_than_a_round_trip(idle_s):
    both = Meeting(echo)
    both.endpoint.drain(Leave(idle_s))
    both.run(0.5)
    assert both.client.end.error_code == NO_ERROR


@pytest.mark.parametrize("lost", [{0}, {0, 1}])
def test_the_last_octets_of_a_drain_are_lost_on_the_way(lost):
    """An end without octets, too, has to arrive before the connection may be closed."""

    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"all but the end")
        yield forever

    both = Meeting(app)
    stream = both.client.fetch()
    both.run()
    both.endpoint.drain(Leave(0.0))
    both.run()
    down = iter(range(1000))
    both.net.judge = lambda datagram, up: None if not up and next(down) in lost else 0.01
    [exchange] = both.record.begun
    exchange.finish()
    both.run(10)
    assert both.client.is_whole(stream)
    assert both.client.end.error_code == NO_ERROR


def test_early_requests():
    """Of an early flight what is safe is answered before the handshake is complete (RFC 8470)."""
    both = Meeting(echo, early_data=True)
    (ticket,) = both.client.tickets
    both.client = Browser(both.net, both.server, port=4001, session_ticket=ticket)
    both.client.quic.connect(("server", 443), now=both.net.now)
    both.client.take()
    get, post = both.client.fetch(), both.client.fetch(POST, b"body")
    both.net.judge = lambda datagram, up: 2.0 if up else 0.01  # what follows the first flight
    both.run()
    assert both.client.body(get) == b"", "an empty one"
    assert (both.client.is_whole(get), both.client.is_whole(post)) == (True, False)
    both.run(10)
    assert both.client.body(post) == b"body"
    assert both.client.handshake.early_data_accepted


def test_a_connection_error():
    both = Meeting(never)
    both.client.fetch()
    both.run()
    both.client.quic.send_stream_data(2, b"\x04\x00")
    both.client.transmit()
    both.run()
    assert both.client.end.error_code == 0x105
    assert both.record.over == both.record.begun
    assert len(both.record.refusals) == 1


def test_a_websocket():
    both = Meeting(never, websocket=WEBSOCKET)
    sessions = []
    both.service.converse = sessions.append
    connect = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        *GET[1:],
        (b"sec-websocket-version", b"13"),
    ]
    assert both.client.h3.received_settings[8] == 1
    stream = both.client.fetch(connect, b"\x81\x82\0\0\0\0hi", last=False)
    both.run()
    [session] = sessions
    session.accept(None, [])
    session.send(session.pull())
    both.run()
    assert both.client.sections(stream)[0][0] == (b":status", b"200")
    assert both.client.body(stream) == b"\x81\x02hi"
    both.client.h3.send_data(stream, b"\x88\x82\0\0\0\0\x03\xe8", True)
    both.client.transmit()
    both.run()
    assert both.client.body(stream) == b"\x81\x02hi\x88\x02\x03\xe8"
    assert both.client.is_whole(stream)
    assert len(both.record.over) == 1
