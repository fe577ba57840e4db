"""The grammar of chunks (RFC 9112 7.1): what of a chunked body may pass, byte by byte.

Rules of this file: stricter than h11 and than the RFC must be. Sizes are at most 16 hexadecimal
digits, lines end in CRLF, extensions have grammar and a budget, trailers are judged like header
fields. Extensions and trailers end here: whoever reads on gets the message without them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from granian_d.errors import BodyTooLarge, HeadTooLarge, ProtocolViolation
from granian_d.http.fields import TOKEN_PATTERN, parse_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from granian_d.plan import Limits

# RFC 9112 7.1, 7.1.1. White space is taken where the grammar has BWS, which a recipient must do
# (RFC 9110 5.6.3); behind the size alone it is in no grammar.
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})"
    rb"((?:[ \t]*;[ \t]*" + TOKEN_PATTERN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN_PATTERN + rb"|"
    + _QUOTED + rb"))?)*)\r\n"
)  # fmt: skip

EXTENSIONS_BYTES: Final = 4096  # of a whole body; nobody uses them, so more is an attack
SIZE_LINE_BYTES: Final = 18  # sixteen digits and CRLF


class ChunkGate:
    """Walks over the chunks of a body and lets pass what h11 may read.

    Attributes:
        ended: the empty line at the end of the trailer section has been seen.
        rest: what `walk` was given beyond it.
    """

    __slots__ = (
        "_body_room",
        "_extensions_room",
        "_field_lines",
        "_held",
        "_left",
        "_limits",
        "_step",
        "_trailer_bytes",
        "ended",
        "rest",
    )

    def __init__(self, limits: Limits) -> None:
        self.ended = False
        self.rest = b""
        self._limits = limits
        self._body_room = limits.body_bytes or None
        self._extensions_room = EXTENSIONS_BYTES
        self._trailer_bytes = 0
        self._field_lines = 0
        self._held = bytearray()  # the beginning of a line whose end has not arrived
        self._left = 0  # of the chunk, then of the CRLF behind it
        self._step: Callable[[bytes, int], tuple[int, bytes]] = self._size_line

    def walk(self, data: bytes) -> Iterator[bytes]:
        """What of `data` may pass.

        Raises:
            ProtocolViolation: the rest will never pass.
        """
        position = 0
        while position < len(data) and not self.ended:
            position, passed = self._step(data, position)
            if passed:
                yield passed
        self.rest = data[position:]

    # Each step takes data and a position in it; it returns the next position and what passes.

    def _size_line(self, data: bytes, position: int) -> tuple[int, bytes]:
        most = SIZE_LINE_BYTES + self._extensions_room
        position, line = self._line(data, position, most, ProtocolViolation)
        if not line:
            return position, b""
        match = SIZE_LINE.fullmatch(line)
        if match is None:
            raise ProtocolViolation("a malformed chunk size", "RFC 9112 7.1")
        self._extensions_room -= len(match[2])
        if self._extensions_room < 0:
            raise ProtocolViolation("too many chunk extensions", "RFC 9112 7.1.1")
        size = int(match[1], 16)
        if size == 0:
            self._step = self._trailer_line
            return position, match[1] + b"\r\n"
        if self._body_room is not None:
            self._body_room -= size
            if self._body_room < 0:
                raise BodyTooLarge("a body too large", "RFC 9110 15.5.14")
        self._left = size
        self._step = self._content
        return position, match[1] + b"\r\n"

    def _content(self, data: bytes, position: int) -> tuple[int, bytes]:
        piece = data[position : position + self._left]
        self._left -= len(piece)
        if self._left == 0:
            self._step = self._content_end
        return position + len(piece), piece

    def _content_end(self, data: bytes, position: int) -> tuple[int, bytes]:
        """CRLF and nothing else, so that a wrong size is found out at once."""
        piece = data[position : position + 2 - len(self._held)]
        self._held += piece
        if not b"\r\n".startswith(self._held):
            raise ProtocolViolation("a chunk that is longer than its size", "RFC 9112 7.1")
        if len(self._held) < 2:
            return position + len(piece), b""
        self._held.clear()
        self._step = self._size_line
        return position + len(piece), b"\r\n"

    def _trailer_line(self, data: bytes, position: int) -> tuple[int, bytes]:
        """Judge and drop; trailers are never merged (RFC 9110 6.5.1, RFC 9112 7.1.2)."""
        most = self._limits.head_bytes - self._trailer_bytes
        position, line = self._line(data, position, most, HeadTooLarge)
        if not line:
            return position, b""
        if line == b"\r\n":
            self.ended = True
            return position, line
        self._trailer_bytes += len(line)
        self._field_lines += 1
        if self._field_lines > self._limits.head_fields:
            raise HeadTooLarge("too many trailers", "RFC 6585 5")
        parse_section(line, 1)
        return position, b""

    def _line(
        self, data: bytes, position: int, most: int, too_long: type[ProtocolViolation]
    ) -> tuple[int, bytes]:
        """The next position, and the line that ends before it; b"" when none has ended."""
        end = data.find(b"\n", position) + 1 or len(data)
        self._held += data[position:end]
        if len(self._held) > most:
            raise too_long("a line too long", "RFC 9110 5.4, RFC 9112 7.1.1")
        if self._held[-1:] != b"\n":
            return end, b""
        line = bytes(self._held)
        self._held.clear()
        return end, line
