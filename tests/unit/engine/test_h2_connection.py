"""The connection: how it begins and ends, frames that are wrong, and what keeps a server busy."""

from __future__ import annotations

from struct import pack

import pytest

from granian_d.engine.contract import Leave
from granian_d.errors import PeerTooBusy, ProtocolViolation
from granian_d.http.message import Peer, RequestHead
from granian_d.plan import Limits
from tests.unit.engine.h2_peer import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_CONNECT_PROTOCOL,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GET,
    GOAWAY,
    H2_ENGINES,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    H2Peer,
    frame,
    http2,
    line,
    meet,
    settings,
)
from tests.unit.plan.specimens import WEBSOCKET
from tests.wire.harness import FINISHED, LIMITS, OPEN, RESET, Line, answer_ok, read_all

pytestmark = pytest.mark.parametrize("engine", H2_ENGINES)

FIRST_GOAWAY = (2**31 - 1, NO_ERROR)


def forever(callback):
    """What is waited for does not come."""


def never(exchange):
    yield forever


class Held:
    """An application that answers when the test says so."""

    def __init__(self):
        self.exchanges = []

    def __call__(self, exchange):
        self.exchanges.append(exchange)
        yield forever

    def answer(self, index=-1):
        self.exchanges[index].start(200, [])
        self.exchanges[index].send(b"held", last=True)


# --- the beginning -------------------------------------------------------------------------------


def test_what_is_announced(engine):
    limits = {"http2": http2(streams=7, frame_bytes=20000, fields_bytes=5000)}
    peer = meet(engine, answer_ok, **limits)
    assert peer.settings[3] == 7
    assert peer.settings[INITIAL_WINDOW_SIZE] == 262144
    assert peer.settings[5] == 20000
    assert peer.settings[6] == 5000
    assert peer.settings[9] == 1
    assert not peer.settings.get(ENABLE_CONNECT_PROTOCOL)
    assert peer.credit[0] == 1048576 - 65535
    assert peer.settings_acks == 1


def test_frames_may_not_be_smaller_than_http2_has_them(engine):
    assert meet(engine, answer_ok, http2=http2(frame_bytes=1024)).settings[5] == 16384


def test_websockets_are_announced_where_there_are_any(engine):
    assert meet(engine, answer_ok, websocket=WEBSOCKET).settings[ENABLE_CONNECT_PROTOCOL] == 1


def test_octet_by_octet(engine):
    peer = H2Peer(line(engine, answer_ok), greets=False)
    octets = PREFACE + settings() + peer.headers(1, GET)
    for at in range(len(octets)):
        peer.say(octets[at : at + 1])
    assert peer.answers[1].body == b"ok"


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"x", b"\0"])
def test_no_preface(engine, octets):
    peer = H2Peer(line(engine, answer_ok), greets=False).say(octets)
    assert peer.line.fate == FINISHED
    assert len(peer.line.record.refusals) == 1


@pytest.mark.parametrize("second", [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, ACK)])
def test_a_preface_without_settings(engine, second):
    peer = H2Peer(line(engine, answer_ok), greets=False).say(PREFACE + second)
    assert peer.goaways == [(0, PROTOCOL_ERROR)]
    assert peer.line.fate == FINISHED


@pytest.mark.parametrize("begin", [b"", PREFACE[:10], PREFACE, PREFACE + settings()[:4]])
def test_a_preface_that_does_not_come(engine, begin):
    one = line(engine, answer_ok, head_timeout_s=10.0).feed(begin)
    one.wait(9)
    assert one.fate == OPEN
    one.wait(2)
    assert one.fate == FINISHED


# --- frames that are wrong -----------------------------------------------------------------------

BLOCK = b"\x82\x86\x84\x41\x01a"  # GET http / a

WRONG = {
    "a frame too long": (frame(DATA, 0, 1, bytes(16385)), FRAME_SIZE_ERROR),
    "an unknown frame too long": (frame(0x99, 0, 1, bytes(16385)), FRAME_SIZE_ERROR),
    "DATA on the connection": (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "DATA on an idle stream": (frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
    "DATA on a stream of ours": (frame(DATA, 0, 2, b"x"), PROTOCOL_ERROR),
    "HEADERS on the connection": (frame(HEADERS, 5, 0, BLOCK), PROTOCOL_ERROR),
    "HEADERS on a stream of ours": (frame(HEADERS, 5, 2, BLOCK), PROTOCOL_ERROR),
    "padding without its length": (frame(HEADERS, 5 | PADDED, 1, b""), FRAME_SIZE_ERROR),
    "too much padding": (frame(HEADERS, 5 | PADDED, 1, b"\x09" + BLOCK), PROTOCOL_ERROR),
    "half a priority": (frame(HEADERS, 5 | PRIORITIZED, 1, b"\0\0\0"), FRAME_SIZE_ERROR),
    "PRIORITY on the connection": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (frame(RST_STREAM, 0, 1, bytes(4)), PROTOCOL_ERROR),
    "RST_STREAM on the connection": (frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL_ERROR),
    "RST_STREAM of a wrong length": (frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "SETTINGS of a wrong length": (frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "an ack with settings": (frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "push neither on nor off": (settings({2: 2}), PROTOCOL_ERROR),
    "a window too large": (settings({4: 2**31}), FLOW_CONTROL_ERROR),
    "frames too small": (settings({5: 16383}), PROTOCOL_ERROR),
    "frames too large": (settings({5: 2**24}), PROTOCOL_ERROR),
    "a push": (frame(PUSH_PROMISE, 4, 1, bytes(4) + BLOCK), PROTOCOL_ERROR),
    "PING on a stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "PING of a wrong length": (frame(PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "GOAWAY of a wrong length": (frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of a wrong length": (frame(WINDOW_UPDATE, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of nothing": (frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL_ERROR),
    "WINDOW_UPDATE on an idle stream": (frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), PROTOCOL_ERROR),
    "CONTINUATION of nothing": (frame(CONTINUATION, 4, 1, BLOCK), PROTOCOL_ERROR),
    "a frame within a section": (
        frame(HEADERS, END_STREAM, 1, BLOCK[:1]) + frame(PING, 0, 0, bytes(8)),
        PROTOCOL_ERROR,
    ),
    "CONTINUATION on another stream": (
        frame(HEADERS, END_STREAM, 1, BLOCK[:1]) + frame(CONTINUATION, END_HEADERS, 3, BLOCK[1:]),
        PROTOCOL_ERROR,
    ),
    "a block that cannot be decoded": (frame(HEADERS, 5, 1, b"\xff\xff\xff"), COMPRESSION_ERROR),
    "index 0": (frame(HEADERS, 5, 1, b"\x80"), COMPRESSION_ERROR),
    "a table too large": (frame(HEADERS, 5, 1, b"\x3f\xe1\xff\x03" + BLOCK), COMPRESSION_ERROR),
    "PRIORITY_UPDATE on a stream": (frame(PRIORITY_UPDATE, 0, 1, bytes(4)), PROTOCOL_ERROR),
    "PRIORITY_UPDATE of nothing": (frame(PRIORITY_UPDATE, 0, 0, bytes(4)), PROTOCOL_ERROR),
    "PRIORITY_UPDATE too short": (frame(PRIORITY_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize(("octets", "code"), WRONG.values(), ids=WRONG.keys())
def test_connection_errors(engine, octets, code):
    peer = meet(engine, answer_ok).say(octets)
    assert peer.goaways == [(0, code)]
    assert peer.line.fate == FINISHED
    [violation] = peer.line.record.refusals
    assert violation.h2_code == code
    assert violation.section
    assert not peer.line.record.begun


def test_a_stream_number_below_the_last_one(engine):
    peer = meet(engine, answer_ok)
    peer.say(peer.headers(5, GET), peer.headers(3, GET))
    assert peer.goaways == [(5, PROTOCOL_ERROR)]


def test_a_request_on_a_stream_that_has_ended(engine):
    peer = meet(engine, answer_ok)
    peer.say(peer.headers(1, GET))
    peer.say(peer.headers(1, GET))
    assert peer.goaways == [(1, STREAM_CLOSED)]


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_frames_on_a_stream_that_the_peer_has_ended(engine, kind):
    peer = meet(engine, never)
    stream = peer.ask()
    peer.say(
        peer.headers(stream, [("a", "b")]) if kind == HEADERS else frame(DATA, 1, stream, b"x")
    )
    assert peer.answers[stream].reset == STREAM_CLOSED
    assert peer.line.fate == OPEN


def test_frames_that_were_under_way_when_we_reset_are_passed_over(engine):
    peer = meet(engine, answer_ok, body_bytes=1)
    stream = peer.ask(POST, ("content-length", "5"), end=False)
    assert peer.answers[stream].status == 413
    kinds = len(peer.answers[stream].kinds)
    peer.data(stream, b"hello")
    peer.say(peer.headers(stream, [("x-new-name", "new-value")]))
    peer.grant(stream, 5).reset(stream)
    assert len(peer.answers[stream].kinds) == kinds
    assert peer.answers[peer.ask(GET, ("x-new-name", "new-value"))].body == b"ok"


def test_a_stream_that_depends_on_itself(engine):
    peer = meet(engine, never)
    stream = peer.ask(POST, end=False)
    peer.say(frame(PRIORITY, 0, stream, pack(">LB", stream, 0)))
    assert peer.answers[stream].reset == PROTOCOL_ERROR
    block = pack(">LB", 3, 0) + peer.section(GET)
    peer.say(frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 3, block))
    assert peer.answers[3].reset == PROTOCOL_ERROR


def test_what_is_passed_over(engine):
    peer = meet(engine, answer_ok)
    peer.say(
        frame(0x99, 0xFF, 7, b"what is this?"),
        frame(PRIORITY, 0, 9, pack(">LB", 11, 3)),
        settings({0x4242: 1}),
        frame(0x0C, 0, 0, b"an ORIGIN"),
    )
    assert peer.answers[peer.ask()].body == b"ok"


def test_more_streams_than_were_announced(engine):
    app = Held()
    peer = meet(engine, app, http2=http2(streams=2))
    for _ in range(3):
        peer.ask()
    assert peer.answers[5].reset == REFUSED_STREAM
    assert len(app.exchanges) == 2
    app.answer(0)
    peer.listen().ask()
    assert len(app.exchanges) == 3
    assert peer.line.fate == OPEN


# --- PING, and how long it lasts -----------------------------------------------------------------


def test_a_ping_is_answered_at_once(engine):
    peer = meet(engine, never)
    peer.ask()
    peer.ping(b"abcdefgh")
    assert peer.pongs == [b"abcdefgh"]


def test_a_connection_that_is_not_used(engine):
    peer = meet(engine, answer_ok, idle_timeout_s=5.0)
    peer.line.wait(4)
    peer.ask()
    peer.line.wait(4)
    assert peer.line.fate == OPEN
    peer.line.wait(2)
    assert peer.listen().goaways == [(1, NO_ERROR)]
    assert peer.line.fate == FINISHED
    assert not peer.line.record.refusals


def test_a_connection_with_a_stream_is_used(engine):
    peer = meet(engine, never, idle_timeout_s=5.0)
    peer.ask()
    peer.line.wait(100)
    assert peer.line.fate == OPEN


def test_a_section_that_does_not_end(engine):
    peer = meet(engine, answer_ok, head_timeout_s=5.0, idle_timeout_s=60.0)
    peer.say(frame(HEADERS, END_STREAM, 1, BLOCK[:2]))
    peer.line.wait(3)
    peer.say(frame(CONTINUATION, 0, 1, BLOCK[2:3]))
    peer.line.wait(3)
    assert peer.line.fate == FINISHED
    assert peer.line.record.refusals[0].http_status == 408


def test_one_stream_for_a_connection_that_is_not_kept(engine):
    app = Held()
    peer = meet(engine, app, keep_alive=False)
    peer.say(peer.headers(1, GET) + peer.headers(3, GET))
    assert peer.goaways == [(1, NO_ERROR)]
    assert len(app.exchanges) == 1
    app.answer()
    assert peer.listen().answers[1].body == b"held"
    assert 3 not in peer.answers
    assert peer.line.fate == FINISHED


def test_a_silent_peer_is_asked_whether_it_lives(engine):
    alive = http2(ping_interval_s=5.0, ping_timeout_s=3.0)
    peer = meet(engine, never, http2=alive, idle_timeout_s=0.0)
    peer.ask()
    peer.line.wait(4)
    peer.ping()
    peer.line.wait(4)
    assert peer.listen().pings == []
    peer.line.wait(2)
    assert len(peer.listen().pings) == 1
    peer.ping(peer.pings[0], flags=ACK)
    peer.line.wait(6)
    assert len(peer.listen().pings) == 2
    peer.line.wait(4)
    assert peer.line.fate == RESET
    assert len(peer.line.record.over) == 1


# --- GOAWAY --------------------------------------------------------------------------------------


def test_a_drain_in_two_steps(engine):
    app = Held()
    peer = meet(engine, app)
    peer.ask()
    peer.line.endpoint.drain(Leave(5.0))
    assert peer.listen().goaways == [FIRST_GOAWAY]
    peer.ask()  # was under way
    assert len(app.exchanges) == 2
    peer.ping(peer.pings[0], flags=ACK)
    assert peer.goaways[1:] == [(3, NO_ERROR)]
    peer.ask()
    assert len(app.exchanges) == 2
    assert peer.line.fate == OPEN
    app.answer(0)
    app.answer(1)
    assert [peer.listen().answers[stream].body for stream in (1, 3)] == [b"held"] * 2
    assert 5 not in peer.answers
    assert peer.line.fate == FINISHED


def test_a_drain_without_an_ack(engine):
    app = Held()
    peer = meet(engine, app)
    peer.ask()
    peer.line.endpoint.drain(Leave(2.0))
    peer.line.wait(3)
    assert peer.listen().goaways == [FIRST_GOAWAY, (1, NO_ERROR)]
    app.answer()
    assert peer.line.fate == FINISHED


def test_a_drain_of_an_idle_connection(engine):
    peer = meet(engine, answer_ok)
    peer.line.endpoint.drain(Leave(0.0))
    peer.line.wait(0.25)
    assert peer.listen().goaways[-1] == (0, NO_ERROR)
    assert peer.line.fate == FINISHED


def test_a_drain_that_comes_again(engine):
    app = Held()
    peer = meet(engine, app)
    peer.ask()
    peer.line.endpoint.drain(Leave(60.0))
    peer.line.endpoint.drain(Leave(0.0))
    peer.line.wait(0.25)
    assert peer.listen().goaways == [FIRST_GOAWAY, (1, NO_ERROR)]


def test_a_drain_before_the_preface(engine):
    one = line(engine, answer_ok)
    one.endpoint.drain(Leave(5.0))
    peer = H2Peer(one)
    assert peer.settings
    assert peer.goaways == [FIRST_GOAWAY]
    assert peer.answers[peer.ask()].body == b"ok"


def test_a_peer_that_leaves(engine):
    app = Held()
    peer = meet(engine, app)
    peer.ask()
    peer.say(frame(GOAWAY, 0, 0, bytes(8)))
    assert peer.line.fate == OPEN
    app.answer()
    assert peer.listen().answers[1].body == b"held"
    assert peer.line.fate == FINISHED


# --- what keeps a server busy with nothing -------------------------------------------------------


def calmed(peer):
    assert peer.goaways[-1][1] == ENHANCE_YOUR_CALM
    assert peer.line.fate == FINISHED
    [violation] = [v for v in peer.line.record.refusals if isinstance(v, PeerTooBusy)]
    assert violation.h2_code == ENHANCE_YOUR_CALM
    assert len(peer.line.record.over) == len(peer.line.record.begun)
    return True


def test_rapid_reset(engine):
    peer = meet(engine, never)
    for _ in range(100):
        peer.reset(peer.ask())
    assert peer.line.fate == OPEN
    peer.reset(peer.ask())
    assert calmed(peer)


def test_one_who_lets_streams_end_may_reset_as_many(engine):
    def app(exchange):
        if exchange.head.raw_path == b"/never":
            yield forever
        yield from answer_ok(exchange)

    peer = meet(engine, app)
    for _ in range(150):
        peer.ask()
        peer.reset(peer.ask([*GET[:3], (":path", "/never")]))
    assert peer.line.fate == OPEN


def test_resets_that_the_peer_makes_us_send(engine):
    """CVE-2025-8671."""
    peer = meet(engine, never)
    for _ in range(101):
        peer.grant(peer.ask(), 0)
    assert calmed(peer)


def test_malformed_requests_without_end(engine):
    peer = meet(engine, never)
    for _ in range(101):
        peer.ask(GET[1:])
    assert calmed(peer)


@pytest.mark.parametrize(
    "one",
    [
        settings(),
        frame(PING, 0, 0, bytes(8)),
        frame(PING, ACK, 0, bytes(8)),
        frame(PRIORITY, 0, 1, pack(">LB", 3, 0)),
        frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"),
        frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
        frame(0x99, 0, 1, b""),
        frame(DATA, 0, 1, b""),
    ],
    ids=["settings", "ping", "pong", "priority", "update", "window", "stream", "unknown", "data"],
)
def test_frames_that_do_nothing(engine, one):
    peer = meet(engine, never)
    peer.ask(POST, end=False)
    for _ in range(50):
        peer.say(one * 100)
        if peer.line.fate != OPEN:
            break
    assert calmed(peer)


def test_frames_that_do_nothing_may_come_slowly(engine):
    peer = meet(engine, never, idle_timeout_s=0.0)
    peer.ask()
    for _ in range(600):
        peer.ping()
        peer.line.wait(1)
    assert peer.line.fate == OPEN


def test_answers_that_are_not_read(engine):
    peer = meet(engine, answer_ok, high_water=1000, write_timeout_s=0.0, idle_timeout_s=0.0)
    for _ in range(300):
        peer.say(frame(PING, 0, 0, bytes(8)) * 10)
        peer.line.wait(1)
        if peer.line.fate != OPEN:
            break
    assert calmed(peer)
    assert len(peer.line.sent) < 100_000


def test_a_section_of_too_many_frames(engine):
    peer = meet(engine, never)
    peer.say(frame(HEADERS, END_STREAM, 1, BLOCK))
    peer.say(frame(CONTINUATION, 0, 1, b"") * 100)
    assert calmed(peer)


def test_a_section_of_too_many_octets(engine):
    peer = meet(engine, never, http2=http2(fields_bytes=20_000))
    peer.say(frame(HEADERS, END_STREAM, 1, BLOCK + b"\x00\x01a\x7f\x81\xff\x7f"))
    for _ in range(10):
        peer.say(frame(CONTINUATION, 0, 1, bytes(16_000)))
    assert calmed(peer)


def test_a_bomb(engine):
    """A field of 4000 octets in the table, and thousands of references to it."""
    peer = meet(engine, never)
    block = peer.section([*GET, ("a", "b" * 3900)])
    peer.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    assert peer.line.fate == OPEN
    peer.say(frame(HEADERS, END_HEADERS | END_STREAM, 3, BLOCK + b"\xbe" * 10_000))
    assert calmed(peer)


def test_a_greedy_table_is_not_granted(engine):
    """SETTINGS_HEADER_TABLE_SIZE of the peer: our encoder takes at most 4096."""
    count = iter(range(10_000))

    def app(exchange):
        exchange.start(200, [(b"x-%d" % next(count), b"v" * 100)])
        exchange.send(b"", last=True)
        yield from ()

    peer = meet(engine, app, {1: 2**32 - 1})
    peer.decoder.max_allowed_table_size = 4096  # refuses any larger table
    for _ in range(100):
        assert peer.answers[peer.ask()].status == 200


def test_a_peer_without_a_table(engine):
    def app(exchange):
        exchange.start(200, [(b"x", b"y")])
        exchange.send(b"", last=True)
        yield from ()

    peer = H2Peer(line(engine, app), greets=False)
    peer.decoder.max_allowed_table_size = 0
    peer.decoder.header_table_size = 0
    peer.say(PREFACE + settings({1: 0}) + frame(SETTINGS, ACK))
    for _ in range(3):
        assert peer.answers[peer.ask()].fields[b"x"] == b"y"


@pytest.mark.parametrize("sizes", [[100, 100], [0, 4096], [4096, 4096], [0, 0, 4096, 4096]])
def test_a_table_that_changes_its_size(engine, sizes):
    """What a peer says twice is no other size than what it says once."""
    peer = meet(engine, answer_ok, {1: 100})
    peer.ask()
    for size in sizes:
        peer.say(settings({1: size}))
    for _ in range(3):
        assert peer.answers[peer.ask()].fields[b"server"] == b"granian-d"


# --- h2c -----------------------------------------------------------------------------------------


def upgrade(engine, app, payload=b"", method="GET", **limits):
    head = RequestHead(method, b"/up", b"", b"a", "2", [(b"x", b"y")], 0, False)

    def make(wire, peer, service, settings, clock):
        return H2_ENGINES[engine][1](wire, peer, service, settings, clock, head, payload)

    return Line(make, app, **limits)


def test_a_request_that_was_upgraded(engine):
    one = upgrade(engine, answer_ok)
    peer = H2Peer(one, greets=False).listen()
    assert peer.settings
    assert (peer.answers[1].status, peer.answers[1].body, peer.answers[1].ended) == (
        200,
        b"ok",
        True,
    )
    assert peer.settings_acks == 0
    peer.say(PREFACE + settings())
    peer._next = 3
    assert peer.answers[peer.ask()].body == b"ok"
    assert peer.settings_acks == 1


def test_the_settings_of_an_upgrade_are_obeyed(engine):
    peer = H2Peer(upgrade(engine, answer_ok, pack(">HL", 4, 1)), greets=False).listen()
    assert peer.answers[1].body == b"o"
    peer.say(PREFACE + settings({4: 100}))
    assert peer.answers[1].body == b"ok"


def test_bad_settings_of_an_upgrade(engine):
    wire = line(engine, answer_ok).wire
    service = line(engine, answer_ok).service
    head = RequestHead("GET", b"/", b"", b"a", "2", [], 0, False)
    peer = Peer(None, None)
    clock = line(engine, answer_ok).clock
    for payload in (pack(">HL", 4, 2**31), b"abc"):
        with pytest.raises(ProtocolViolation):
            H2_ENGINES[engine][1](wire, peer, service, Limits(**LIMITS), clock, head, payload)
    assert wire.writes == []


def test_the_preface_behind_an_upgrade_must_come(engine):
    one = upgrade(engine, answer_ok, head_timeout_s=5.0)
    one.wait(6)
    assert one.fate == FINISHED


def test_stream_1_is_taken_after_an_upgrade(engine):
    peer = H2Peer(upgrade(engine, never), greets=False)
    peer.say(PREFACE + settings())
    peer.say(peer.headers(1, GET))
    assert peer.answers[1].reset == STREAM_CLOSED


def test_a_body_goes_on_while_another_stream_is_cancelled(engine):
    def app(exchange):
        body = yield from read_all(exchange)
        exchange.start(200, [])
        exchange.send(body, last=True)

    peer = meet(engine, app)
    one, two = peer.ask(POST, end=False), peer.ask(POST, end=False)
    peer.data(one, b"a").reset(two, CANCEL).data(one, b"b", end=True)
    assert peer.answers[one].body == b"ab"
