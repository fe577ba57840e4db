"""What is answered to a datagram that belongs to no connection: headers of them, and the answers.

Nobody has shown that the address such a datagram bears is its own. So each answer is shorter than
what it answers (nobody gains by having us send it to others), and of all but Retry packets there
are only so many a second.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from aioquic._buffer import Buffer
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicPacketType,
    QuicProtocolVersion,
    encode_quic_retry,
    pull_quic_header,
)
from aioquic.quic.packet_builder import QuicPacketBuilder

from granian_d.engine.connection_ids import ID_BYTES, RESET_TOKEN_BYTES, reset_token

VERSIONS: Final = (int(QuicProtocolVersion.VERSION_1), int(QuicProtocolVersion.VERSION_2))
INITIAL_BYTES: Final = 1200  # of a datagram with an Initial packet, at least (RFC 9000 14.1)
ORIGINAL_ID_BYTES: Final = 8  # of the id that a client makes up, at least (RFC 9000 7.2)
ANSWERS_PER_S: Final = 500.0
# A reset looks like a short packet; no packet that can be one is shorter (RFC 9000 10.3).
_SHORTEST_RESET: Final = 21
_LONGEST_RESET: Final = 42
_LONG: Final = 0x80
_FIXED: Final = 0x40


class FirstHeader(NamedTuple):
    """The header of an Initial packet.

    Attributes:
        version: one of VERSIONS.
        destination: id that the client has made up, or that a Retry has told it.
        source: id that the client is to be sent to.
        token: of a Retry, or of what else; b"" for none.
    """

    version: int
    destination: bytes
    source: bytes
    token: bytes


class Allowance:
    """How many of something there may be now.

    Args:
        per_s: at most; as many at once.
    """

    __slots__ = ("_left", "_per_s", "_since")

    def __init__(self, per_s: float = ANSWERS_PER_S) -> None:
        self._per_s = per_s
        self._left = per_s
        self._since = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may be given."""
        if not self.is_left(now):
            return False
        self._left -= 1
        return True

    def is_left(self, now: float) -> bool:
        """Whether `take` would be granted one."""
        self._left = min(self._per_s, self._left + max(now - self._since, 0.0) * self._per_s)
        self._since = now
        return self._left >= 1


def is_long(datagram: bytes) -> bool:
    """Whether a datagram begins with a long header (RFC 8999 5.1); it is not empty."""
    return datagram[0] >= _LONG


def destination_of(datagram: bytes) -> bytes:
    """The id that a datagram is for, as far as it is there; it is not empty."""
    if datagram[0] < _LONG:
        return datagram[1 : 1 + ID_BYTES]
    return datagram[6 : 6 + datagram[5]] if len(datagram) > 5 else b""


def version_of(datagram: bytes) -> int:
    """Of a datagram with a long header."""
    return int.from_bytes(datagram[1:5], "big")


def read_first(datagram: bytes) -> FirstHeader | None:
    """The header of a client's Initial packet in a version of ours; None if there is none."""
    try:
        header = pull_quic_header(Buffer(data=datagram), host_cid_length=ID_BYTES)
    except ValueError:
        return None
    if header.packet_type is not QuicPacketType.INITIAL or header.version is None:
        return None
    return FirstHeader(header.version, header.destination_cid, header.source_cid, header.token)


def negotiate_version(datagram: bytes) -> bytes | None:
    """Which versions there are (RFC 9000 6, RFC 8999 6); None if it has no ids to answer to.

    Ids may be longer here than in any version of ours.
    """
    at = 6 + datagram[5]
    if len(datagram) <= at or len(datagram) < at + 1 + datagram[at]:
        return None
    destination = datagram[5:at]  # each with its length before it
    source = datagram[at : at + 1 + datagram[at]]
    first = _LONG | _FIXED | os.urandom(1)[0]
    versions = b"".join(version.to_bytes(4, "big") for version in VERSIONS)
    return bytes((first, 0, 0, 0, 0)) + source + destination + versions


def ask_again(header: FirstHeader, next_id: bytes, token: bytes) -> bytes:
    """A Retry packet (RFC 9000 17.2.5)."""
    return encode_quic_retry(
        version=header.version,
        source_cid=next_id,
        destination_cid=header.source,
        original_destination_cid=header.destination,
        retry_token=token,
        unused=os.urandom(1)[0] & 0x0F,
    )


def refuse(header: FirstHeader, own_id: bytes, code: QuicErrorCode) -> bytes:
    """An Initial packet with CONNECTION_CLOSE (RFC 9000 10.2.3)."""
    keys = CryptoPair()
    keys.setup_initial(cid=header.destination, is_client=False, version=header.version)
    builder = QuicPacketBuilder(
        host_cid=own_id,
        peer_cid=header.source,
        version=header.version,
        is_client=False,
        max_datagram_size=INITIAL_BYTES,
    )
    builder.start_packet(QuicPacketType.INITIAL, keys)
    frame = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=4)
    frame.push_uint_var(code)
    frame.push_uint_var(QuicFrameType.PADDING)  # no frame was the cause
    frame.push_uint_var(0)  # octets of a reason
    ((packet,), _) = builder.flush()
    return packet


def reset(datagram: bytes, key: bytes) -> bytes | None:
    """A stateless reset for a packet with a short header (RFC 9000 10.3).

    Args:
        datagram: with an id of ours.
        key: of reset tokens.

    Returns:
        None for a datagram that is too small: two who have forgotten one another would answer
            each other for ever, were resets not shorter each time (RFC 9000 10.3.3).
    """
    size = min(len(datagram) - 1, _LONGEST_RESET)
    if size < _SHORTEST_RESET:
        return None
    noise = os.urandom(size - RESET_TOKEN_BYTES)
    first = _FIXED | noise[0] & 0x3F
    return bytes((first,)) + noise[1:] + reset_token(key, destination_of(datagram))
