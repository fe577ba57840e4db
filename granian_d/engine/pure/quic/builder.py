"""Builds packets with a short header, each a datagram of its own.

Stands in for the library's QuicPacketBuilder where nothing else can be meant: the handshake is
confirmed, the path is proven. There is no header to be written around the frames, no datagram to be
shared, and no amplification to be counted, so that a packet costs half as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.packet import (
    NON_IN_FLIGHT_FRAME_TYPES,
    PACKET_FIXED_BIT,
    QuicFrameType,
    QuicPacketType,
)
from aioquic.quic.packet_builder import QuicPacketBuilderStop, QuicSentPacket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioquic.quic.crypto import CryptoPair
    from aioquic.quic.packet_builder import QuicDeliveryHandler

_ONE_RTT: Final = tls.Epoch.ONE_RTT
_SHORT: Final = QuicPacketType.ONE_RTT
_TAG_BYTES: Final = 16  # of the AEAD
_NUMBER_BYTES: Final = 2
# With them there is enough to take the sample of header protection from (RFC 9001 5.4.2).
_LEAST_BYTES: Final = 4 - _NUMBER_BYTES
_NOT_IN_FLIGHT: Final = frozenset(int(kind) for kind in NON_IN_FLIGHT_FRAME_TYPES)
_CRYPTO: Final = int(QuicFrameType.CRYPTO)
# What goes with them is filled up to 1200 octets (RFC 9000 8.2.1, 8.2.2).
_OF_PATHS: Final = (int(QuicFrameType.PATH_CHALLENGE), int(QuicFrameType.PATH_RESPONSE))


class ShortBuilder:
    """See the library's QuicPacketBuilder for the methods.

    Args:
        keys: of 1-RTT packets.
        peer_id: that they are sent to.
        number: of the next packet.
        spin: the bit of RFC 9000 17.4.
        most: octets of a datagram.
        flight: octets that congestion control leaves room for.

    Attributes:
        packet_number: of the next packet.
    """

    __slots__ = (
        "_buffer",
        "_datagrams",
        "_fills",
        "_first",
        "_flight",
        "_keys",
        "_packet",
        "_packets",
        "_peer_id",
        "_room",
        "_room_in_flight",
        "packet_number",
    )

    quic_logger_frames = None

    def __init__(
        self, keys: CryptoPair, peer_id: bytes, number: int, spin: bool, most: int, flight: int
    ) -> None:
        self._keys = keys
        self._peer_id = peer_id
        self._first = PACKET_FIXED_BIT | spin << 5 | _NUMBER_BYTES - 1
        self._room = most - 1 - len(peer_id) - _NUMBER_BYTES - _TAG_BYTES
        self._room_in_flight = 0
        self._flight = flight
        self._buffer = Buffer(capacity=self._room)
        self._packet: QuicSentPacket | None = None
        self._fills = False
        self._datagrams: list[bytes] = []
        self._packets: list[QuicSentPacket] = []
        self.packet_number = number

    @property
    def packet_is_empty(self) -> bool:
        """Whether nothing is in the packet that was begun."""
        return not self._buffer.tell()

    @property
    def remaining_buffer_space(self) -> int:
        """Octets left in the packet."""
        return self._room - self._buffer.tell()

    @property
    def remaining_flight_space(self) -> int:
        """Octets left in the packet, for frames that are under congestion control."""
        return self._room_in_flight - self._buffer.tell()

    def start_packet(self, packet_type: QuicPacketType, crypto: CryptoPair) -> None:
        """Begin a packet; of another kind there can be none here."""
        assert packet_type is _SHORT
        assert crypto is self._keys
        self._end_packet()
        overhead = 1 + len(self._peer_id) + _NUMBER_BYTES + _TAG_BYTES
        self._room_in_flight = min(self._room, self._flight - overhead)
        self._packet = QuicSentPacket(_ONE_RTT, False, False, False, self.packet_number, _SHORT)

    def start_frame(
        self,
        frame_type: int,
        capacity: int = 1,
        handler: QuicDeliveryHandler | None = None,
        handler_args: Sequence[Any] = (),
    ) -> Buffer:
        """Begin a frame.

        Raises:
            QuicPacketBuilderStop: there is not so much room.
        """
        buffer, packet = self._buffer, self._packet
        assert packet is not None
        at = buffer.tell()
        wanted = at + capacity if at else max(capacity, _LEAST_BYTES)
        in_flight = frame_type not in _NOT_IN_FLIGHT
        if wanted > (self._room_in_flight if in_flight else self._room):
            raise QuicPacketBuilderStop
        buffer.push_uint_var(frame_type)
        if in_flight:
            packet.in_flight = packet.is_ack_eliciting = True
            if frame_type == _CRYPTO:
                packet.is_crypto_packet = True
            elif frame_type in _OF_PATHS:
                self._fills = True
        if handler is not None:
            packet.delivery_handlers.append((handler, handler_args))
        return buffer

    def flush(self) -> tuple[list[bytes], list[QuicSentPacket]]:
        """The datagrams, and what is to be remembered of their packets."""
        self._end_packet()
        return self._datagrams, self._packets

    def _end_packet(self) -> None:
        packet, buffer = self._packet, self._buffer
        size = buffer.tell()
        self._packet = None
        if packet is None or not size:
            return
        least = max(_LEAST_BYTES, self._room_in_flight) if self._fills else _LEAST_BYTES
        if size < least:
            buffer.push_bytes(bytes(least - size))
            packet.in_flight = True
            size = least
        number, keys = self.packet_number, self._keys
        header = bytes((self._first | keys.key_phase << 2,)) + self._peer_id
        datagram = keys.encrypt_packet(
            header + (number & 0xFFFF).to_bytes(_NUMBER_BYTES, "big"),
            buffer.data_slice(0, size),
            number,
        )
        buffer.seek(0)
        self._fills = False
        packet.sent_bytes = len(datagram)
        if packet.in_flight:
            self._flight -= len(datagram)
        self._packets.append(packet)
        self._datagrams.append(datagram)
        self.packet_number = number + 1
