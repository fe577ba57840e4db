"""Field sections on the wire: QPACK without a dynamic table (RFC 9204), by the library pylsqpack.

Rules of this file: nobody else imports the library. Neither side may refer to what another stream
has said: so no request or answer waits for a packet that is not its own (2.1.2), a section costs no
more than its own octets, and one that was read can be read again with the same outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pylsqpack import (
    Decoder,
    DecoderStreamError,
    DecompressionFailed,
    Encoder,
    EncoderStreamError,
    StreamBlocked,
)

from granian_d.engine.pure.h3.frames import HEADERS, frame
from granian_d.errors import (
    CompressionBroken,
    DecoderStreamBroken,
    EncoderStreamBroken,
    HeadTooLarge,
)

if TYPE_CHECKING:
    from granian_d.http.message import Fields

TABLE_BYTES: Final = 0  # SETTINGS_QPACK_MAX_TABLE_CAPACITY, the default (RFC 9204 5)
BLOCKED_STREAMS: Final = 0  # SETTINGS_QPACK_BLOCKED_STREAMS, the default

MOST_STRING_BYTES: Final = 65535  # of a name or value, as far as the library goes
_MOST_COMPRESSED_BYTES: Final = MOST_STRING_BYTES * 5 // 8  # the shortest codes have 5 bits

_ANY_STREAM: Final = 0  # nothing is remembered of a stream


class Compression:
    """Both directions of one connection."""

    __slots__ = ("_decoder", "_encoder")

    def __init__(self) -> None:
        self._decoder = Decoder(TABLE_BYTES, BLOCKED_STREAMS)
        self._encoder = Encoder()
        # Whatever the peer would keep for us: see above.
        self._encoder.apply_settings(TABLE_BYTES, BLOCKED_STREAMS)

    def decode(self, block: bytes) -> Fields:
        """The fields of a section.

        Raises:
            CompressionBroken: it is no section, or one that refers to a table.
            HeadTooLarge: a field may be larger than the library can tell.
        """
        try:
            return self._decoder.feed_header(_ANY_STREAM, block)[1]
        except (DecompressionFailed, StreamBlocked) as error:
            if len(block) > _MOST_COMPRESSED_BYTES:
                raise HeadTooLarge("a field too large", "RFC 6585 5") from error
            raise CompressionBroken("a section that cannot be decoded", "RFC 9204 2.2") from error

    def section(self, fields: Fields) -> bytes:
        """A HEADERS frame."""
        try:
            return frame(HEADERS, self._encoder.encode(_ANY_STREAM, fields)[1])
        except ValueError:  # a string too long for the library
            return frame(HEADERS, _literal(fields))

    def read_encoder(self, octets: bytes) -> None:
        """The peer speaks of its table, which has no room for anything.

        Raises:
            EncoderStreamBroken: it speaks of more than that.
        """
        try:
            self._decoder.feed_encoder(octets)
        except EncoderStreamError as error:
            raise EncoderStreamBroken("a table that there is not", "RFC 9204 4.3") from error

    def read_decoder(self, octets: bytes) -> None:
        """The peer speaks of what it has read.

        Raises:
            DecoderStreamBroken: it has read what was not sent.
        """
        try:
            self._encoder.feed_decoder(octets)
        except DecoderStreamError as error:
            raise DecoderStreamBroken("news of no table", "RFC 9204 4.4") from error


def _literal(fields: Fields) -> bytes:
    """A section as it stands, without any compression (RFC 9204 4.5.1, 4.5.6)."""
    pieces = [b"\0\0"]
    for name, value in fields:
        pieces += [_integer(0x20, 3, len(name)), name, _integer(0x00, 7, len(value)), value]
    return b"".join(pieces)


def _integer(flags: int, bits: int, number: int) -> bytes:
    """An integer behind flags in the first octet (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if number < most:
        return bytes((flags | number,))
    octets = bytearray((flags | most,))
    number -= most
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
