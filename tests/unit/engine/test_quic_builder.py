"""Our builder of 1-RTT packets beside the library's: the same packets, octet for octet."""

from __future__ import annotations

import pytest

pytest.importorskip("aioquic")

from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder, QuicPacketBuilderStop
from hypothesis import given, settings
from hypothesis import strategies as st

from granian_d.engine.pure.quic.builder import ShortBuilder

KINDS = [
    QuicFrameType.ACK,
    QuicFrameType.PING,
    QuicFrameType.CRYPTO,
    QuicFrameType.STREAM_BASE,
    QuicFrameType.PATH_CHALLENGE,
    QuicFrameType.TRANSPORT_CLOSE,
]
FRAMES = st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=400)), max_size=5)


def keys() -> CryptoPair:
    pair = CryptoPair()
    pair.setup_initial(cid=bytes(8), is_client=False, version=1)
    return pair


def build(builder, pair, packets):
    """The datagrams; and of each packet, what is remembered of it."""
    try:
        for frames in packets:
            builder.start_packet(QuicPacketType.ONE_RTT, pair)
            for kind, octets in frames:
                builder.start_frame(kind, len(octets) + 1, lambda *_: None, (octets,)).push_bytes(
                    octets
                )
    except QuicPacketBuilderStop:
        pass
    datagrams, sent = builder.flush()
    return datagrams, [
        (
            one.packet_number,
            one.in_flight,
            one.is_ack_eliciting,
            one.is_crypto_packet,
            one.sent_bytes,
            [arguments for _, arguments in one.delivery_handlers],
        )
        for one in sent
    ]


@given(
    st.lists(FRAMES, max_size=4),
    st.binary(max_size=20),
    st.one_of(st.integers(-100, 5000), st.just(100_000)),
    st.integers(0, 1 << 17),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_they_agree(packets, peer_id, flight, number, spin):
    theirs = QuicPacketBuilder(
        host_cid=b"",
        peer_cid=peer_id,
        version=1,
        is_client=False,
        max_datagram_size=1200,
        packet_number=number,
        spin_bit=spin,
    )
    theirs.max_flight_bytes = flight
    ours = ShortBuilder(pair := keys(), peer_id, number, spin, 1200, flight)
    assert build(ours, pair, packets) == build(theirs, keys(), packets)
