"""Whatever a peer sends, a hall neither raises nor lets anybody else's connection suffer."""

from __future__ import annotations

from functools import cache

import pytest

pytest.importorskip("aioquic")

from aioquic import tls
from aioquic._buffer import Buffer
from hypothesis import given, settings
from hypothesis import strategies as st

from granian_d.engine.datagrams import Path
from tests.unit.engine.quic_peer import Net

STRANGER = Path(("192.0.2.99", 9), "")
VERSIONS = st.sampled_from([0, 1, 0x6B3343CF, 0x1A2A3A4A])
IDS = st.binary(max_size=21)


def meet():
    net = Net()
    server = net.server()
    client = net.client(server).connect()
    net.run(1.0)
    assert client.established
    return net, server, client


def feed(net, server, datagram, path=STRANGER):
    server.hall.feed(path, datagram, net.now)
    server.hall.flush(net.now)


def still_serves(net, server):
    client = net.client(server).connect()
    net.run(1.0)
    stream = client.ask(b"hello")
    net.run(1.0)
    return client.heard(stream) == b"hello"


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=64),
            st.builds(
                lambda first, version, destination, source, rest: (
                    bytes((first | 0x80,))
                    + version.to_bytes(4, "big")
                    + bytes((len(destination),))
                    + destination
                    + bytes((len(source),))
                    + source
                    + rest
                ).ljust(1200, b"\0"),
                st.integers(0, 127),
                VERSIONS,
                IDS,
                IDS,
                st.binary(max_size=64),
            ),
        ),
        max_size=5,
    )
)
@settings(max_examples=100, deadline=None)
def test_datagrams_of_nobody(datagrams):
    net = Net()
    server = net.server()
    for datagram in datagrams:
        feed(net, server, datagram)
        assert sum(len(one) for _, one in server.sent) <= 3 * sum(map(len, datagrams))
    net.run(10.0)
    assert not server.hall._members


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_handshake_that_is_spoilt(data):
    """Datagrams of a handshake, cut, changed, repeated, left out, from somewhere else."""
    net = Net()
    server = net.server(retry_above=data.draw(st.sampled_from([0, 1000])))
    spoilings = iter(
        data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1199)), max_size=6))
    )

    def judge(datagram, up):
        kind, at = next(spoilings, (5, 0))
        if not up or kind == 5:
            return 0.01
        if kind == 0:
            return None
        spoilt = bytearray(datagram)
        if kind == 1:
            del spoilt[at:]
        elif kind == 2:
            spoilt[at % len(spoilt)] ^= 1 + at % 255
        feed(net, server, bytes(spoilt), STRANGER if kind == 4 else Path(client.address, ""))
        return 0.01

    client = net.client(server)
    net.judge = judge
    client.connect()
    net.run(3.0)
    net.judge = lambda datagram, up: 0.01
    assert still_serves(net, server)


@cache
def a_ticket():
    _, _, client = meet()
    return client.tickets[0]


@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
    st.booleans(),
    st.integers(0, 700),
)
@settings(max_examples=150, deadline=None)
def test_a_hello_that_is_spoilt(changes, resumes, cut):
    """What it says under keys that everybody can make."""
    net = Net()
    server = net.server(early_data=True)
    client = net.client(server, session_ticket=a_ticket() if resumes else None)
    client.quic.connect(("server", 443), now=net.now)
    sender = client.quic._crypto_streams[tls.Epoch.INITIAL].sender
    for at, octet in changes:
        sender._buffer[at % len(sender._buffer)] = octet
    if cut < len(sender._buffer):  # a shorter message, that says so
        sender._buffer[1:4] = (cut).to_bytes(3, "big")
    client.transmit()
    net.run(3.0)
    assert len(server.failures) + len(server.open) <= 1
    assert still_serves(net, server)


def pack(client, payload: bytes, epoch=tls.Epoch.ONE_RTT) -> bytes:
    """A packet of a client that says what it likes."""
    quic = client.quic
    number = quic._packet_number
    quic._packet_number += 1
    crypto = quic._cryptos[epoch]
    header = bytes((0x41 | crypto.key_phase << 2,)) + quic._peer_cid.cid
    return crypto.encrypt_packet(
        header + number.to_bytes(2, "big"), payload.ljust(4, b"\0"), number
    )


def numbers(*values: int) -> bytes:
    buffer = Buffer(capacity=8 * len(values))
    for value in values:
        buffer.push_uint_var(value)
    return buffer.data


NUMBER = st.one_of(
    st.integers(0, 70), st.sampled_from([1 << 14, 1 << 30, (1 << 60) + 1, (1 << 62) - 1])
)
FRAME = st.builds(
    lambda kind, values, rest: numbers(kind, *values) + rest,
    st.one_of(st.integers(0, 0x1F), st.sampled_from([0x30, 0x31, 0x40, 1 << 30])),
    st.lists(NUMBER, max_size=6),
    st.binary(max_size=40),
)


@given(st.lists(st.lists(FRAME, min_size=1, max_size=4).map(b"".join), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_frames_of_somebody_who_is_let_in(payloads):
    net, server, client = meet()
    other = net.client(server).connect()
    net.run(1.0)
    for payload in payloads:
        feed(net, server, pack(client, payload), Path(client.address, ""))
        net.now += 0.01
    net.run(3.0)
    stream = other.ask(b"hello")
    net.run(1.0)
    assert other.heard(stream) == b"hello"
    quic = server.endpoints[0].link._quic
    assert len(quic._streams) <= 2 * 128
