"""Streams of QUIC: windows, loss, resets, and what is left of them."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("aioquic")

from aioquic.quic.events import StopSendingReceived, StreamReset
from aioquic.quic.packet import QuicErrorCode

from granian_d.plan import Http3Limits
from tests.unit.engine.quic_peer import DELAY_S, Net

SMALL = Http3Limits(
    streams=4, connection_window_bytes=20_000, stream_window_bytes=10_000, send_buffer_bytes=1
)


def meet(http3=SMALL, **terms):
    net = Net()
    server = net.server(http3=http3, **terms)
    client = net.client(server).connect()
    net.run(1.0)
    return net, server, client, server.endpoints[0]


def test_a_window_is_given_back_for_what_was_consumed():
    net, server, client, echo = meet()
    echo.consumes = echo.echoes = False
    stream = client.ask(bytes(50_000))
    net.run(5.0)
    assert len(echo.octets(stream)) == 10_000
    echo.link.consumed(stream, 4_000)
    net.run(1.0)
    assert len(echo.octets(stream)) == 10_000  # too little to be worth a frame
    echo.link.consumed(stream, 1_000)
    net.run(1.0)
    assert len(echo.octets(stream)) == 15_000
    assert server.open


def test_the_window_of_the_connection_is_for_all_streams():
    net, _server, client, echo = meet()
    echo.consumes = echo.echoes = False
    streams = [client.ask(bytes(9_000)) for _ in range(4)]
    net.run(5.0)
    assert sum(len(echo.octets(stream)) for stream in streams) == 20_000
    echo.link.consumed(streams[0], 9_000)
    echo.link.consumed(streams[1], 1_000)
    net.run(1.0)
    assert sum(len(echo.octets(stream)) for stream in streams) == 30_000


def test_who_sends_more_than_the_window_is_sent_away():
    net, server, client, echo = meet()
    echo.consumes = False
    client.quic._remote_max_stream_data_bidi_remote = client.quic._remote_max_data = 1 << 30
    client.ask(bytes(30_000))
    net.run(2.0)
    assert client.end.error_code == QuicErrorCode.FLOW_CONTROL_ERROR
    assert not server.failures  # those are of handshakes


def test_streams_are_given_back_as_they_end():
    net, server, client, echo = meet()
    for count in range(40):
        assert client.heard(client.ask(b"%d" % count)) == b""
    net.run(5.0)
    assert sorted({one[1] for one in echo.fed if one[0] == "stream"}) == list(range(0, 160, 4))
    assert all(client.heard(4 * count) == b"%d" % count for count in range(40))
    quic = server.open[0].quic
    assert not quic._streams
    assert not quic._ready
    assert quic._local_max_data.value - quic._local_max_data.used == 20_000


def test_who_opens_too_many_streams_is_sent_away():
    net, _, client, echo = meet()
    echo.echoes = False
    client.quic._remote_max_streams_bidi = 100
    for _ in range(5):
        client.ask(b"x")
    net.run(2.0)
    assert client.end.error_code == QuicErrorCode.STREAM_LIMIT_ERROR


def test_unidirectional_streams():
    net, _server, client, echo = meet()
    number = echo.link.open_uni()
    assert (number, echo.link.open_uni()) == (3, 7)
    echo.link.send(number, b"settings")
    theirs = client.quic.get_next_available_stream_id(is_unidirectional=True)
    client.send(theirs, b"and mine")
    net.run(0.1)
    assert client.heard(number) == b"settings"
    assert echo.octets(theirs) == b"and mine"


def test_a_reset_of_the_peer_frees_what_was_not_consumed():
    net, server, client, echo = meet()
    echo.consumes = echo.echoes = False
    for _ in range(6):  # more than the connection's window, all in all
        stream = client.ask(bytes(9_000), last=False)
        net.run(1.0)
        assert len(echo.octets(stream)) == 9_000
        client.quic.reset_stream(stream, 77)
        client.transmit()
        net.run(0.1)
        assert echo.fed[-1] == ("reset", stream, 77)
        echo.link.reset(stream, 78)
        net.run(0.5)
        echo.link.consumed(stream, 9_000)  # too late, and no harm
    assert not server.open[0].quic._streams
    assert server.open


def test_a_reset_of_ours_drops_what_was_not_sent():
    net, _, client, echo = meet()
    echo.echoes = False
    stream = client.ask(b"give me something")
    net.run(0.1)

    echo.link.send(stream, bytes(1_000_000))
    net.run(0.02)
    assert echo.link.unsent_bytes(stream) > 500_000
    echo.link.reset(stream, 99)
    assert echo.link.unsent_bytes(stream) == 0
    net.run(1.0)
    (reset,) = [event for event in client.events if isinstance(event, StreamReset)]
    assert (reset.stream_id, reset.error_code) == (stream, 99)
    echo.link.send(stream, b"too late")
    echo.link.reset(stream, 98)
    net.run(0.1)
    assert client.end is None


def test_a_stream_that_was_stopped_is_fed_no_more():
    net, server, client, echo = meet()
    echo.consumes = echo.echoes = False
    stream = client.ask(bytes(30_000), last=False)
    net.run(1.0)
    echo.link.stop(stream, 55)
    fed = len(echo.fed)
    net.run(1.0)
    (stop,) = [event for event in client.events if isinstance(event, StopSendingReceived)]
    assert (stop.stream_id, stop.error_code) == (stream, 55)
    assert len(echo.fed) == fed
    echo.link.send(stream, b"", True)
    net.run(1.0)
    quic = server.open[0].quic
    assert not quic._streams
    assert quic._local_max_data.value - quic._local_max_data.used == 20_000


def test_a_peer_that_wants_no_more():
    net, _, client, echo = meet()
    echo.echoes = False
    stream = client.ask(b"give me something")
    net.run(0.1)
    echo.link.send(stream, bytes(1_000_000))
    net.run(0.05)
    client.quic.stop_stream(stream, 44)
    client.transmit()
    net.run(0.5)
    assert echo.fed[-1] == ("stop", stream, 44)
    assert any(isinstance(event, StreamReset) for event in client.events)


def test_the_window_of_the_peer_is_kept():
    net = Net()
    server = net.server()
    client = net.client(server, max_data=50_000, max_stream_data=30_000).connect()
    net.run(1.0)
    (echo,) = server.endpoints
    echo.echoes = False
    streams = [client.ask(b"x") for _ in range(3)]
    net.run(0.1)
    receiving = client.quic
    receiving._write_connection_limits = receiving._write_stream_limits = lambda **_: None
    for stream in streams:
        echo.link.send(stream, bytes(40_000), True)
    net.run(5.0)
    assert sum(len(client.heard(stream)) for stream in streams) == 50_000
    assert max(len(client.heard(stream)) for stream in streams) <= 30_000
    left = sum(echo.link.unsent_bytes(stream) for stream in streams)
    assert left == 70_000
    assert server.open[0].queued_bytes() >= left
    del receiving._write_connection_limits, receiving._write_stream_limits
    client.transmit()
    net.run(5.0)
    assert all(client.heard(stream) == bytes(40_000) for stream in streams)
    assert server.open[0].queued_bytes() == 0


def test_room_is_told_of():
    net, _, client, echo = meet()
    echo.echoes = False
    rooms = []
    echo.feed_room = lambda: rooms.append(echo.link.unsent_bytes(0))
    stream = client.ask(b"give me something")
    net.run(0.1)
    rooms.clear()
    echo.link.send(stream, bytes(300_000), True)
    net.run(2.0)
    assert rooms[0] > rooms[len(rooms) // 2] > rooms[-1] == 0


def test_answers_that_are_ready_together_leave_together():
    net, server, client, echo = meet()
    echo.echoes = False
    for _ in range(4):
        client.quic.send_stream_data(client.quic.get_next_available_stream_id(), b"x", True)
    client.transmit()
    net.run(0.5)
    before = len(server.sent)
    for stream in range(0, 16, 4):
        echo.link.send(stream, b"answer", True)
    net.run(0.005)
    assert len(server.sent) - before == 1


def test_an_acknowledgement_waits_for_what_leaves_anyway():
    net, server, client, _echo = meet()
    net.run(1.0)
    before = len(server.sent)
    stream = client.ask(b"hello")
    net.run(DELAY_S + 0.015)
    assert len(server.sent) - before == 1
    net.run(0.5)
    assert len(server.sent) - before == 1
    assert client.heard(stream) == b"hello"
    assert client.quic._loss.bytes_in_flight == 0


def test_a_stream_in_too_many_pieces():
    net, _, client, _ = meet()
    stream = client.quic.get_next_available_stream_id()
    client.quic.send_stream_data(stream, bytes(2_000))
    pending = client.quic._streams[stream].sender._pending
    pending.subtract(0, 2_000)
    for at in range(1, 2_000, 2):
        pending.add(at, at + 1)
    for _ in range(20):  # a packet has one piece of it
        client.transmit()
    net.run(2.0)
    assert client.end.error_code == QuicErrorCode.INTERNAL_ERROR


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_disorder(seed):
    chance = random.Random(seed)
    net = Net()

    def judge(datagram, up):
        return None if chance.random() < 0.05 else DELAY_S * (1 + chance.random())

    net.judge = judge
    server = net.server(idle_timeout_s=60.0)
    client = net.client(server).connect()
    net.run(3.0)
    data = chance.randbytes(200_000)
    streams = [client.ask(data[at * 1000 :]) for at in range(5)]
    net.run(30.0)
    for at, stream in enumerate(streams):
        assert client.heard(stream) == data[at * 1000 :]
        assert client.ended(stream)
    net.run(5.0)
    quic = server.open[0].quic
    assert not quic._streams
    assert quic._local_max_data.value - quic._local_max_data.used == 1048576
    assert server.open[0].queued_bytes() == 0
