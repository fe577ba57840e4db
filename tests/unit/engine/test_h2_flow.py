"""Flow control both ways, back-pressure, whose turn it is, and patience with streams."""

from __future__ import annotations

import pytest

from granian_d.errors import ProtocolViolation
from granian_d.http import states
from tests.unit.engine.h2_peer import (
    CANCEL,
    DATA,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    GET,
    H2_ENGINES,
    HEAD,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PADDED,
    POST,
    PRIORITY_UPDATE,
    frame,
    http2,
    meet,
    settings,
)
from tests.wire.harness import FINISHED, OPEN, RESET, read_all

pytestmark = pytest.mark.parametrize("engine", H2_ENGINES)

LARGE = b"x" * 200_000


def large(exchange):
    exchange.start(200, [])
    exchange.send(LARGE, last=True)
    yield from ()


def forever(callback):
    """What is waited for does not come."""


# --- what we send --------------------------------------------------------------------------------


def test_no_more_is_sent_than_the_windows_allow(engine):
    peer = meet(engine, large)
    stream = peer.ask()
    answer = peer.answers[stream]
    assert len(answer.body) == 65535
    peer.grant(0, 1_000_000)
    assert len(answer.body) == 65535
    peer.grant(stream, 10_000)
    assert len(answer.body) == 75535
    peer.grant(stream, 1_000_000)
    assert answer.body == LARGE
    assert answer.ended
    assert max(map(len, answer.parts)) <= 16384
    [exchange] = peer.line.record.over
    assert exchange.sent_bytes == len(LARGE)


def test_the_connection_s_window_is_shared(engine):
    peer = meet(engine, large, {INITIAL_WINDOW_SIZE: 1_000_000})
    one, two = peer.ask(), peer.ask()
    assert sum(len(answer.body) for answer in peer.answers.values()) == 65535
    peer.grant(0, 1_000_000)
    assert [peer.answers[stream].body for stream in (one, two)] == [LARGE] * 2


def test_a_window_of_nothing_holds_data_but_no_head(engine):
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x", last=True)
        yield from ()

    peer = meet(engine, app, {INITIAL_WINDOW_SIZE: 0})
    stream = peer.ask()
    assert (peer.answers[stream].status, peer.answers[stream].body) == (200, b"")
    bare = peer.ask(HEAD)
    assert peer.answers[bare].ended
    peer.say(settings({INITIAL_WINDOW_SIZE: 1}))
    assert (peer.answers[stream].body, peer.answers[stream].ended) == (b"x", True)


def test_a_window_may_become_negative(engine):
    """RFC 9113 6.9.2."""
    peer = meet(engine, large, {INITIAL_WINDOW_SIZE: 1000})
    stream = peer.ask()
    peer.say(settings({INITIAL_WINDOW_SIZE: 200}))
    peer.grant(stream, 799)
    assert len(peer.answers[stream].body) == 1000
    peer.grant(stream, 2)
    assert len(peer.answers[stream].body) == 1001


def test_an_answer_waits_for_the_window_and_its_application_for_room(engine):
    told = []

    def app(exchange):
        exchange.start(200, [])
        for number in range(5):
            if not exchange.send(b"y" * 1000):
                told.append(number)
                yield exchange.when_room
        exchange.finish()

    peer = meet(engine, app, {INITIAL_WINDOW_SIZE: 0}, http2=http2(send_buffer_bytes=2000))
    stream = peer.ask()
    assert told == [2], "3000 octets wait, more than 2000"
    peer.grant(stream, 1999)
    assert told == [2], "1001 are more than half"
    peer.grant(stream, 1)
    assert told == [2, 4]
    peer.grant(stream, 100_000)
    assert peer.answers[stream].body == b"y" * 5000
    assert peer.answers[stream].ended
    assert told == [2, 4]


def test_a_wire_that_is_full_holds_everything_up(engine):
    held, told = [], []

    def app(exchange):
        held.append(exchange)
        yield forever

    peer = meet(engine, app, {INITIAL_WINDOW_SIZE: 1_000_000}, high_water=20_000)
    peer.grant(0, 1_000_000).line.take(10_000)
    stream = peer.ask()
    held[0].start(200, [])
    assert not held[0].send(b"z" * 30_000)
    held[0].when_room(lambda: told.append("room"))
    assert not held[0].send(b"z" * 30_000), "it waits with the stream"
    assert peer.line.wire.size < 60_000
    peer.line.take(25_000)
    assert told == []
    peer.line.take(100_000)
    assert told == ["room"]
    held[0].finish()
    assert peer.listen().answers[stream].body == b"z" * 60_000
    assert peer.answers[stream].ended


def test_a_file_that_waits_for_the_window(engine, tmp_path):
    import os

    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    fd = os.open(path, os.O_RDONLY)
    ends = []

    def app(exchange):
        exchange.start(200, [(b"content-length", b"300000")])
        exchange.send_file(fd, 0, 300_000, ends.append)
        yield forever

    peer = meet(engine, app, http2=http2(send_buffer_bytes=50_000))
    stream = peer.ask()
    assert ends == []
    for _ in range(40):
        peer.grant(0, 10_000).grant(stream, 10_000)
    os.close(fd)
    assert ends == [True]
    assert peer.answers[stream].body == path.read_bytes()


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_beyond_measure(engine, stream):
    peer = meet(engine, large)
    peer.ask()
    peer.grant(stream, 2**31 - 1).grant(stream, 2**31 - 1)
    if stream:
        assert peer.answers[1].reset == FLOW_CONTROL_ERROR
        assert peer.line.fate == OPEN
    else:
        assert peer.goaways[-1][1] == FLOW_CONTROL_ERROR
        assert peer.line.fate == FINISHED


def test_settings_that_make_a_window_overflow(engine):
    peer = meet(engine, large)
    peer.ask()
    peer.grant(1, 2**31 - 1 - 65535).say(settings({INITIAL_WINDOW_SIZE: 2**31 - 1}))
    assert peer.goaways[-1][1] == FLOW_CONTROL_ERROR


# --- whose turn it is ----------------------------------------------------------------------------


def asked(peer, *priorities):
    """Requests one after the other, whose answers wait for a window of the connection."""
    for value in priorities:
        peer.ask(GET, *([("priority", value)] if value else []))
    peer.order.clear()
    peer.grant(0, 10_000_000)
    return peer.order


def blocked(engine):
    """A peer with no window left on the connection."""
    peer = meet(engine, large, {INITIAL_WINDOW_SIZE: 1_000_000})
    stream = peer.ask()
    peer.reset(stream)
    return peer


def test_the_urgent_first(engine):
    order = asked(blocked(engine), "u=5", "u=1", "")
    assert list(dict.fromkeys(order)) == [5, 7, 3]
    assert order == sorted(order, key=[5, 7, 3].index), "one after the other"


def test_incremental_ones_in_turn(engine):
    order = asked(blocked(engine), "i", "u=3, i")
    assert order[:6] in ([3, 5] * 3, [5, 3] * 3)


def test_a_priority_that_is_changed(engine):
    peer = blocked(engine)
    for _ in range(2):
        peer.ask()
    peer.say(frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x05u=0"))
    peer.order.clear()
    peer.grant(0, 10_000_000)
    assert list(dict.fromkeys(peer.order)) == [5, 3]


def test_a_priority_before_its_stream(engine):
    peer = blocked(engine)
    peer.say(frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x05u=0"))
    assert list(dict.fromkeys(asked(peer, "", "u=6"))) == [5, 3]


# --- what the peer sends -------------------------------------------------------------------------


class Reader:
    """An application that reads at the test's pleasure."""

    def __init__(self):
        self.exchange = None

    def __call__(self, exchange):
        self.exchange = exchange
        yield forever


def test_credit_comes_with_reading(engine):
    app = Reader()
    peer = meet(engine, app, http2=http2(stream_window_bytes=100_000))
    assert peer.settings[INITIAL_WINDOW_SIZE] == 100_000
    stream = peer.ask(POST, end=False)
    for _ in range(10):
        peer.data(stream, b"x" * 10_000)
    assert peer.credit.get(stream, 0) == 0, "nothing is read, nothing is given back"
    while app.exchange.pull():
        pass
    peer.listen()
    assert 50_000 <= peer.credit[stream] <= 100_000
    assert peer.line.fate == OPEN


def test_more_than_the_window_of_a_stream(engine):
    peer = meet(engine, Reader(), http2=http2(stream_window_bytes=65_535))
    stream = peer.ask(POST, end=False)
    for _ in range(4):
        peer.data(stream, b"x" * 16_384)
    code = peer.answers[stream].reset if stream in peer.answers else peer.goaways[-1][1]
    assert code == FLOW_CONTROL_ERROR


def test_more_than_the_window_of_the_connection(engine):
    peer = meet(engine, Reader(), http2=http2(connection_window_bytes=65_535))
    for _ in range(2):
        peer.ask(POST, end=False)
    for _ in range(3):
        for stream in (1, 3):
            peer.data(stream, b"x" * 16_384)
    assert peer.goaways[-1][1] == FLOW_CONTROL_ERROR
    assert peer.line.fate == FINISHED


def test_padding_counts_and_is_given_back(engine):
    app = Reader()
    peer = meet(engine, app)
    stream = peer.ask(POST, end=False)
    for _ in range(1500):  # 256 octets each, of which one is data
        peer.say(frame(DATA, PADDED, stream, b"\xfe" + b"x" + b"\0" * 254))
    assert peer.credit[stream] >= 131_072
    assert peer.line.fate == OPEN


def test_what_nobody_reads_is_given_back_with_the_stream(engine):
    peer = meet(engine, Reader(), http2=http2(connection_window_bytes=65_535))
    for _ in range(20):
        stream = peer.ask(POST, end=False)
        peer.data(stream, b"x" * 16_384).reset(stream)
    assert peer.line.fate == OPEN
    assert peer.credit[0] >= 20 * 16_384 - 65_535


def test_windows_that_grow(engine):
    """A peer that is far away: the ack of a PING comes when it has used up what it was granted."""
    app = Reader()
    small = http2(stream_window_bytes=65_535, connection_window_bytes=65_535, adaptive_window=True)
    peer = meet(engine, app, http2=small)
    stream = peer.ask(POST, end=False)
    sent = on_the_way = 0
    while sent < 1_000_000 and peer.settings[INITIAL_WINDOW_SIZE] == 65_535:
        peer.data(stream, b"x" * 8192)
        sent += 8192
        while app.exchange.pull():
            pass
        peer.listen()
        on_the_way += 8192 if peer.pings else 0
        if on_the_way > 65_535:
            on_the_way = 0
            peer.ping(peer.pings.pop(), flags=1)
    assert peer.settings[INITIAL_WINDOW_SIZE] == 131_070
    assert peer.line.fate == OPEN


# --- patience ------------------------------------------------------------------------------------


def test_a_body_that_does_not_come(engine):
    def app(exchange):
        yield from read_all(exchange)

    peer = meet(engine, app, body_timeout_s=5.0)
    stream = peer.ask(POST, end=False)
    peer.line.wait(4)
    peer.data(stream, b"x")
    peer.line.wait(4)
    assert stream not in peer.listen().answers
    peer.line.wait(2)
    answer = peer.listen().answers[stream]
    assert (answer.status, answer.ended, answer.reset) == (408, True, NO_ERROR)
    [exchange] = peer.line.record.over
    assert exchange.status == 408
    assert peer.line.fate == OPEN


def test_a_body_that_does_not_come_behind_a_started_answer(engine):
    faults = []

    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x")
        try:
            yield from read_all(exchange)
        except ProtocolViolation as error:
            faults.append(error.http_status)
            raise

    peer = meet(engine, app, body_timeout_s=5.0)
    stream = peer.ask(POST, end=False)
    peer.line.wait(6)
    assert peer.listen().answers[stream].reset == CANCEL
    assert faults == [408]
    assert peer.line.record.over[0].state == states.ABORTED


def test_a_body_that_nobody_waits_for_may_take_its_time(engine):
    peer = meet(engine, Reader(), body_timeout_s=5.0, idle_timeout_s=5.0)
    stream = peer.ask(POST, end=False)
    peer.line.wait(60)
    assert stream not in peer.listen().answers
    assert peer.line.fate == OPEN


def test_a_peer_that_gives_no_window(engine):
    peer = meet(engine, large, write_timeout_s=10.0)
    stream = peer.ask()
    peer.line.wait(9)
    peer.grant(stream, 1).grant(0, 1)
    peer.line.wait(9)
    assert peer.listen().answers[stream].reset is None
    peer.line.wait(2)
    assert peer.listen().answers[stream].reset == CANCEL
    assert len(peer.line.record.over) == 1
    assert peer.line.fate == OPEN


def test_a_peer_that_does_not_read(engine):
    peer = meet(
        engine, large, {INITIAL_WINDOW_SIZE: 1_000_000}, high_water=10_000, write_timeout_s=10.0
    )
    peer.ask()
    peer.line.wait(25)
    assert peer.line.fate == RESET
    assert peer.line.record.over[0].gone


def test_an_ended_body_leaves_room_at_once(engine):
    app = Reader()
    peer = meet(engine, app)
    stream = peer.ask(POST, end=False)
    peer.say(frame(DATA, END_STREAM, stream, b"abc"))
    assert (app.exchange.pull(), app.exchange.pull()) == (b"abc", b"")
