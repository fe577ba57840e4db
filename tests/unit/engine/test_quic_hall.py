"""A hall of QUIC: datagrams of no connection, connections by id, their paths and their ends."""

from __future__ import annotations

import pytest

pytest.importorskip("aioquic")

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicPacketType, pull_quic_header
from aioquic.quic.packet_builder import QuicPacketBuilder

from granian_d.engine import connection_ids
from granian_d.engine.datagrams import Path
from granian_d.engine.pure.quic import hall as hall_module
from granian_d.engine.pure.quic import writing as writing_module
from granian_d.engine.pure.quic.stateless import Allowance
from tests.unit.engine.quic_peer import KEY, Net

STRANGER = Path(("192.0.2.99", 9), "")


def talk(net, server, data=b"hello", **terms):
    client = net.client(server, **terms).connect()
    net.run(1.0)
    stream = client.ask(data)
    net.run(1.0)
    assert client.heard(stream) == data
    return client


def feed(server, datagram, path=STRANGER):
    """What is answered to a datagram."""
    before = len(server.sent)
    server.hall.feed(path, datagram, server.net.now)
    server.hall.flush(server.net.now)
    return [one for _, one in server.sent[before:]]


def short(connection_id, size=60):
    return bytes((0x40,)) + connection_id + bytes(size - 1 - len(connection_id))


def long(version, destination, source, size=1200, first=0xC0):
    head = bytes((first,)) + version.to_bytes(4, "big")
    head += bytes((len(destination),)) + destination + bytes((len(source),)) + source
    return head + bytes(size - len(head))


def an_id(seat, generation=1):
    return connection_ids.issue(connection_ids.words_of(KEY), seat, generation)


# --- versions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 8, 20, 255])
def test_a_version_that_is_not_spoken(length):
    server = Net().server()
    destination, source = bytes(range(length)), bytes(reversed(range(length)))
    (answer,) = feed(server, long(0x1A2A3A4A, destination, source))
    assert len(answer) < 1200
    assert answer[0] & 0x80
    at = 5
    assert answer[1:at] == bytes(4)
    assert answer[at : at + 1 + length] == bytes((length,)) + source
    at += 1 + length
    assert answer[at : at + 1 + length] == bytes((length,)) + destination
    assert answer[at + 1 + length :].hex() == "000000016b3343cf"


def test_a_client_is_told_the_versions():
    net = Net()
    server = net.server()
    client = net.client(server, supported_versions=[0x1A2A3A4A, 1]).connect()
    net.run(1.0)
    assert client.established
    assert client.quic._version_negotiated_incompatible


@pytest.mark.parametrize(
    "datagram",
    [
        long(0x1A2A3A4A, bytes(8), bytes(8), 1199),  # too small
        long(0, bytes(8), bytes(8)),  # version negotiation itself
        long(0x1A2A3A4A, bytes(8), bytes(8))[:6] + b"\xff" * 100,
        (bytes((0xC0,)) + b"\x1a\x2a\x3a\x4a\x08" + bytes(8) + b"\xff").ljust(1200, b"\0")[:200],
        long(1, bytes(7), bytes(8)),  # an id that is too short (RFC 9000 7.2)
        long(1, bytes(8), bytes(21)),
        long(1, bytes(8), bytes(8), first=0xE0),  # a handshake packet
        long(1, bytes(8), bytes(8), first=0xF0),  # a Retry
        long(1, bytes(8), bytes(8), first=0x80),  # without the fixed bit
        b"\xc0",
        b"\x40",
        b"",
    ],
)
def test_what_is_not_answered(datagram):
    server = Net().server()
    assert feed(server, datagram) == []
    assert not server.failures
    assert server.hall._members == {}


def test_what_only_looks_like_a_first_packet_leaves_nothing_behind():
    net = Net()
    server = net.server()
    sent = []
    net.judge = lambda datagram, up: sent.append(datagram)
    net.client(server).connect()
    datagram = bytearray(sent[0])
    datagram[100] ^= 1  # of what is sealed
    assert feed(server, bytes(datagram)) == []
    assert server.hall._members == {}
    assert not server.hall._shaking
    assert server.hall.alarm == float("inf")


@pytest.mark.parametrize("kind", ["damaged", "refused"])
def test_first_packets_that_come_to_nothing_have_all_asked_for_their_address(kind):
    net = Net()
    server = net.server()
    sent = []
    net.judge = lambda datagram, up: sent.append(datagram)
    net.client(server, alpn_protocols=["h3" if kind == "damaged" else "none"]).connect()
    datagram = bytearray(sent[0])
    datagram[100] ^= kind == "damaged"
    assert feed(server, bytes(datagram), Path(("192.0.2.99", 1), "")) == [] or kind == "refused"
    for _ in range(199):
        server.hall._fruitless.take(net.now)
    net.judge = lambda datagram, up: 0.001
    client = net.client(server).connect()
    net.run(0.9)
    assert client.quic._retry_count == 1
    assert client.established
    net.run(1.0)
    client = net.client(server).connect()
    net.run(0.9)
    assert client.quic._retry_count == 0
    assert client.established


# --- other workers, and those who are no more --------------------------------------------------------


def test_packets_of_another_worker_are_relayed():
    server = Net().server(seat=1)
    for datagram in (short(an_id(7)), long(1, an_id(8), bytes(8), 1200, 0xE0)):
        assert feed(server, datagram) == []
    assert [(seat, path) for seat, path, _ in server.relayed] == [(7, STRANGER), (8, STRANGER)]
    assert server.relayed[0][2] == short(server.relayed[0][2][1:13])


def test_a_successor_ends_connections_that_it_does_not_know():
    """By the token that the client was told, for each of its ids."""
    net = Net()
    server = net.server()
    client = talk(net, server)
    successor = net.server()
    for known in (client.quic._peer_cid, *client.quic._peer_cid_available):
        (answer,) = feed(successor, short(known.cid))
        assert answer[-16:] == known.stateless_reset_token
        assert answer[0] & 0xC0 == 0x40
        assert 21 <= len(answer) <= 42
        assert feed(server, short(known.cid)) == []  # where it is known


@pytest.mark.parametrize(("size", "answered"), [(21, 0), (22, 21), (30, 29), (43, 42), (1200, 42)])
def test_a_reset_is_shorter_than_what_it_answers(size, answered):
    server = Net().server()
    assert [len(one) for one in feed(server, short(an_id(1), size))] == [answered] * bool(answered)


def test_an_id_that_nobody_has_given_out_is_not_answered():
    assert feed(Net().server(), short(bytes(12))) == []


def test_answers_are_rationed():
    server = Net().server()
    answers = [feed(server, short(an_id(1))) for _ in range(600)]
    assert answers[499]
    assert not answers[500]
    server.net.now += 1.0
    assert feed(server, short(an_id(1)))


def test_an_allowance_does_not_add_up():
    allowance = Allowance(2.0)
    assert [allowance.take(1000.0) for _ in range(3)] == [True, True, False]
    assert [allowance.take(2000.0) for _ in range(3)] == [True, True, False]
    assert allowance.take(2000.5)


# --- how many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", ["handshakes", "connections"])
def test_no_more_than_there_is_room_for(full, monkeypatch):
    net = Net()
    server = net.server()
    if full == "handshakes":
        monkeypatch.setattr(hall_module, "HANDSHAKES", 0)
    else:
        server.room = False
    client = net.client(server).connect()
    net.run(1.0)
    assert client.end.error_code == QuicErrorCode.CONNECTION_REFUSED
    assert server.failures == ["connection refused"]
    assert len(server.sent[0][1]) < 100


def test_nothing_much_is_sent_to_an_address_that_is_not_proven():
    """Three times what has come: for its one datagram, all of the handshake's time."""
    net = Net()
    server = net.server()
    received = []

    def judge(datagram, up):
        if not up or received:
            return None
        received.append(len(datagram))
        return 0.01

    net.judge = judge
    net.client(server).connect()
    net.run(8.0)
    assert server.failures
    assert 2 * sum(received) < sum(len(one) for _, one in server.sent) <= 3 * sum(received)


# --- paths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_new_id", [False, True])
def test_a_client_moves(with_new_id):
    net = Net()
    server = net.server()
    client = talk(net, server)
    (guest,) = server.open
    before = guest.link.peer
    client.address = ("198.51.100.1", 5000)
    used = client.quic._peer_cid.cid
    if with_new_id:
        client.quic.change_connection_id()
        assert client.quic._peer_cid.cid != used
    stream = client.ask(b"from elsewhere")
    net.run(1.0)
    assert client.heard(stream) == b"from elsewhere"
    assert guest.link.peer is not before
    assert guest.link.peer.client == ("198.51.100.1", 5000)
    assert guest.link.peer.tls is before.tls
    assert server.sent[-1][0].peer == ("198.51.100.1", 5000)
    assert server.open == [guest]
    assert len([one for one in server.hall._members.values() if one is guest]) == len(guest.ids)
    if with_new_id:
        net.run(1.0)
        assert used not in guest.ids


@pytest.mark.parametrize(("host", "is_new"), [("192.0.2.7", False), ("198.51.100.1", True)])
def test_another_path_is_measured_anew(host, is_new):
    """Unless its port alone is another (RFC 9000 9.4)."""
    net = Net()
    server = net.server()
    client = talk(net, server, bytes(300_000))
    loss = server.open[0].quic._loss
    window = loss.congestion_window
    assert window > 100_000
    client.address = (host, 5000)
    client.ask(b"x")
    while server.open[0].link.peer.client != (host, 5000):
        net.run(0.001)
    assert (loss.congestion_window <= 13_200) is is_new
    stream = client.ask(bytes(100_000))
    net.run(2.0)
    assert client.heard(stream) == bytes(100_000)


def test_an_address_counts_once_it_is_proven():
    """A packet that somebody repeats from elsewhere moves nobody."""
    net = Net()
    server = net.server()
    client = talk(net, server)
    held = []
    net.judge = lambda datagram, up: held.append(datagram) if up else 0.01
    stream = client.ask(b"again")
    net.judge = lambda datagram, up: 0.01
    server.receive(held[0], ("203.0.113.1", 1))
    assert server.open[0].link.peer.client == client.address
    net.run(3.0)
    assert server.open[0].link.peer.client == client.address
    assert client.heard(stream) == b"again"


def test_ids_that_are_retired_are_forgotten():
    net = Net()
    server = net.server()
    client = talk(net, server)
    (guest,) = server.open
    seen = set(guest.ids)
    for _ in range(3):
        client.quic.change_connection_id()
        client.transmit()
        net.run(0.5)
    assert len(guest.ids) == 5  # four, and the client's original one
    assert len(seen - guest.ids) == 3
    assert set(server.hall._members) == guest.ids


@pytest.mark.parametrize("by", ["peer", "count"])
def test_keys_are_changed(by, monkeypatch):
    net = Net()
    server = net.server()
    client = talk(net, server)
    keys = server.open[0].quic._keys.send
    seen = {keys.key_phase}
    if by == "peer":
        client.quic.request_key_update()
    else:
        monkeypatch.setattr(writing_module, "KEY_PACKETS", 5)
    for count in range(20):
        stream = client.ask(b"%d" % count)
        net.run(0.2)
        assert client.heard(stream) == b"%d" % count
        seen.add(keys.key_phase)
    assert seen == {0, 1}


def test_who_acknowledges_what_was_not_sent_is_sent_away():
    net = Net()
    server = net.server()
    client = talk(net, server)
    space = client.quic._spaces[tls.Epoch.ONE_RTT]
    space.ack_queue.add(1000)
    client.ask(b"hello")
    space.ack_at = 0.0
    client.transmit()
    net.run(2.0)
    assert client.end.error_code == QuicErrorCode.PROTOCOL_VIOLATION


def test_keys_that_everybody_can_make_are_good_for_the_handshake_alone():
    net = Net()
    server = net.server()
    client = talk(net, server)
    original = client.quic.original_destination_connection_id
    for version in (1, 0x6B3343CF):
        keys = CryptoPair()
        keys.setup_initial(cid=original, is_client=True, version=version)
        builder = QuicPacketBuilder(
            host_cid=client.quic.host_cid,
            peer_cid=original,
            version=version,
            is_client=True,
            max_datagram_size=1200,
            packet_number=1000,
        )
        builder.start_packet(QuicPacketType.INITIAL, keys)
        builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, 4).push_bytes(bytes(3))
        ((datagram,), _) = builder.flush()
        assert len(datagram) == 1200
        feed(server, datagram)
    assert server.open


def test_a_handshake_in_too_many_pieces():
    net = Net()
    server = net.server()
    net.judge = lambda datagram, up: None
    client = net.client(server).connect()
    keys = client.quic._cryptos[tls.Epoch.INITIAL]
    builder = QuicPacketBuilder(
        host_cid=client.quic.host_cid,
        peer_cid=client.quic._peer_cid.cid,
        version=1,
        is_client=True,
        max_datagram_size=1200,
        packet_number=7,
    )
    builder.start_packet(QuicPacketType.INITIAL, keys)
    for at in range(1, 140, 2):
        builder.start_frame(QuicFrameType.CRYPTO, 8).push_bytes(bytes((0x40, at, 1, 0)))
    ((datagram,), _) = builder.flush()
    server.receive(datagram, client.address)
    assert server.failures == ["Handshake in too many pieces"]


# --- ends --------------------------------------------------------------------------------------------


def test_a_connection_is_forgotten_when_nothing_comes():
    net = Net()
    server = net.server(idle_timeout_s=10.0)
    client = talk(net, server)
    net.clients.remove(client)
    before = len(server.sent)
    net.run(11.0)
    assert not server.open
    assert server.endpoints[0].fed[-1] == ("lost",)
    assert len(server.sent) == before  # without a word (RFC 9000 10.1)


def test_a_request_under_way_keeps_its_connection():
    net = Net()
    server = net.server(idle_timeout_s=10.0)
    client = talk(net, server)
    server.endpoints[0].exchanges = ["one that takes long"]
    net.run(60.0)
    assert server.open
    assert client.end is None
    server.endpoints[0].exchanges = []
    net.run(20.0)
    assert not server.open


def test_a_peer_that_is_gone_is_not_kept_by_a_request():
    net = Net()
    server = net.server(idle_timeout_s=10.0)
    net.clients.remove(talk(net, server))
    server.endpoints[0].exchanges = ["one that takes long"]
    net.run(21.0)
    assert not server.open


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda guest: guest.abort(), 0x0102),
        (lambda guest: guest.finish(), 0x0100),
        (lambda guest: guest.link.close(0x0107, "too much"), 0x0107),
    ],
)
def test_a_connection_is_closed(act, code):
    net = Net()
    server = net.server()
    client = talk(net, server)
    (guest,), (echo,) = server.open, server.endpoints
    act(guest)
    assert echo.fed[-1] != ("lost",)  # not from within
    assert server.asked
    guest.link.send(0, b"too late")
    net.run(0.005)
    assert echo.fed[-1] == ("lost",)
    assert server.gone == [guest]
    net.run(2.0)
    assert client.end.error_code == code
    assert server.hall._members == {}
    assert not server.failures


def test_who_has_not_heard_of_the_end_is_told_again():
    net = Net()
    server = net.server()
    client = talk(net, server)
    net.judge = lambda datagram, up: None
    server.open[0].abort()
    net.run(0.001)
    assert not server.open
    net.judge = lambda datagram, up: 0.001
    before = len(server.sent)
    for _ in range(5):
        client.ask(b"is anybody there?")
    net.run(0.003)
    assert len(server.sent) - before == 3  # the first, the second, the fourth
    net.run(2.0)
    assert client.end.error_code == 0x0102


def test_what_comes_behind_the_end_is_dropped():
    net = Net()
    server = net.server()
    client = talk(net, server)
    known = client.quic._peer_cid.cid
    client.quic.close(0x100)
    client.transmit()
    net.run(0.02)
    assert not server.open
    assert feed(server, short(known)) == []
    net.run(2.0)
    assert len(feed(server, short(known))) == 1  # a reset: nothing of it is left


def test_the_worker_goes():
    net = Net()
    server = net.server()
    client = talk(net, server)
    half = net.client(server)
    net.judge = lambda datagram, up: 0.01 if up else None
    half.connect()
    net.run(0.1)
    net.judge = lambda datagram, up: 0.01
    server.hall.close()
    assert not server.open
    assert server.endpoints[0].fed[-1] == ("lost",)
    assert server.hall.alarm == float("inf")
    assert server.hall._members == {}
    assert server.failures == ["the worker has left"]
    net.run(2.0)
    assert client.end.error_code == 0x0100


def test_nothing_is_said_on_standard_error(capfd):
    net = Net()
    server = net.server()
    talk(net, server)
    net.client(server, alpn_protocols=["none"]).connect()
    client = talk(net, server)
    client.quic.send_datagram_frame(b"that we have not asked for")
    client.transmit()
    net.run(1.0)
    assert client.end.error_code == QuicErrorCode.PROTOCOL_VIOLATION
    assert capfd.readouterr() == ("", "")


def test_the_first_flight_is_small_enough_for_its_header_to_be_read():
    net = Net()
    server = net.server()
    net.client(server).connect()
    net.run(0.015)
    header = pull_quic_header(Buffer(data=server.sent[0][1]), host_cid_length=12)
    assert connection_ids.owner_of(connection_ids.words_of(KEY), header.source_cid) == (1, 1)


@pytest.mark.parametrize("moment", ["feed_stream", "feed_room", "under_way"])
def test_a_fault_of_ours_costs_one_connection(moment):
    """And its peer does not have to wait for the end."""
    net = Net()
    server = net.server(idle_timeout_s=10.0)
    victim, other = talk(net, server), talk(net, server)

    def fail(*_):
        raise ZeroDivisionError

    echo = server.endpoints[0]
    setattr(echo, moment, fail)
    server.hall.touch(server.open[1])
    with pytest.raises(ZeroDivisionError):
        if moment == "under_way":
            net.run(8.0)
        victim.ask(b"hello")
        net.run(0.1)
    for _ in range(20):
        victim.ask(b"are you there?")  # asks again: the first datagrams may be lost
    net.run(0.1)
    assert echo.fed[-1] == ("lost",)
    assert len(server.open) == 1
    token = victim.quic._peer_cid.stateless_reset_token
    assert any(sent.endswith(token) for _, sent in server.sent)
    stream = other.ask(b"hello")
    net.run(1.0)
    assert other.heard(stream) == b"hello"
