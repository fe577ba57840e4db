"""Compressed messages (RFC 7692), by zlib. Both engines use it.

A context is made for the first message that needs it, and kept when that is agreed.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import BodyTooLarge, InvalidText

if TYPE_CHECKING:
    from granian_d.http.handshake import Deflate

# A shorter message goes out as it is: it would save less than the headers of its packet take.
COMPRESSED_BYTES: Final = 64

# How a flushed stream ends: an empty block that is not sent (RFC 7692 7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"
# Of zlib's state for compressing, 1 to 9. The table of hashes takes 2**(level + 9) octets: with 5
# it is as large as the window of 12 bits is, and 8 would not find more in that window.
_MEMORY_LEVEL: Final = 5


class Inflater:
    """What the client sends; never inflates more than it is told to accept."""

    __slots__ = ("_context", "_ended", "_is_alone", "_window_bits")

    def __init__(self, agreed: Deflate) -> None:
        self._window_bits = -agreed.client_max_window_bits  # negative: without zlib's own frame
        self._is_alone = agreed.client_no_context_takeover
        self._context: Any = None
        self._ended = False

    def inflate(self, data: bytes, most: int) -> bytes:
        """Some more of a message.

        Args:
            data: as sent.
            most: octets that are acceptable; -1: any number.

        Raises:
            BodyTooLarge: there would be more of them.
            InvalidText: it is no DEFLATE (RFC 1951).
        """
        if self._context is None:
            self._context = zlib.decompressobj(self._window_bits)
        try:
            inflated: bytes = self._context.decompress(data, most + 1)  # 0: any number
        except zlib.error as error:
            raise InvalidText("a message that is no DEFLATE", "RFC 7692 7.2.2") from error
        if 0 <= most < len(inflated):
            raise BodyTooLarge("a message larger than accepted", "RFC 6455 10.4")
        if self._context.eof:
            return inflated + self._after_final(most - len(inflated) if most >= 0 else -1)
        return inflated

    def finish(self, most: int) -> bytes:
        """The rest of a message of which everything has arrived."""
        inflated = self.inflate(_TAIL, most)
        if self._is_alone or self._ended:
            self._context = None
        self._ended = False
        return inflated

    def _after_final(self, most: int) -> bytes:
        """What lies behind a block that says it is the last (RFC 7692 7.2.3.4): an empty one."""
        if self._ended:
            # Legal, but nobody sends it, and each of them makes us set up a context for two octets.
            raise InvalidText("a second final block in a message", "RFC 7692 7.2.3.4")
        self._ended = True
        rest = self._context.unused_data
        self._context = None
        return self.inflate(rest, most) if rest else b""


class Deflater:
    """What we send."""

    __slots__ = ("_context", "_is_alone", "_window_bits")

    def __init__(self, agreed: Deflate) -> None:
        self._window_bits = -agreed.server_max_window_bits
        self._is_alone = agreed.server_no_context_takeover
        self._context: Any = None

    def deflate(self, data: bytes) -> bytes:
        """A whole message as it is sent."""
        context = self._context
        if context is None:
            context = zlib.compressobj(wbits=self._window_bits, memLevel=_MEMORY_LEVEL)
            self._context = None if self._is_alone else context
        compressed: bytes = context.compress(data) + context.flush(zlib.Z_SYNC_FLUSH)
        return compressed[: -len(_TAIL)]
