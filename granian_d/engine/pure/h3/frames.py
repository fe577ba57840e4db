"""Cuts frames out of a stream, and what numbers they have (RFC 9114 7, RFC 9000 16).

Rules of this file: numbers and octets; what a frame means where it stands is not known here.
"""

from __future__ import annotations

from typing import Final

# Frames.
DATA: Final = 0x0
HEADERS: Final = 0x1
CANCEL_PUSH: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
GOAWAY: Final = 0x7
MAX_PUSH_ID: Final = 0xD
PRIORITY_UPDATE: Final = 0xF0700  # RFC 9218 7.2, of a request
PRIORITY_UPDATE_OF_PUSH: Final = 0xF0701

OF_HTTP2: Final = frozenset((0x2, 0x6, 0x8, 0x9))  # RFC 9114 7.2.8

# Unidirectional streams (RFC 9114 6.2, RFC 9204 4.2).
CONTROL: Final = 0x0
PUSH: Final = 0x1
QPACK_ENCODER: Final = 0x2
QPACK_DECODER: Final = 0x3

# Settings.
MAX_FIELD_SECTION_SIZE: Final = 0x6  # RFC 9114 7.2.4.1
ENABLE_CONNECT_PROTOCOL: Final = 0x8  # RFC 9220 5
GREASE: Final = 0x21  # RFC 9114 7.2.4.1: one that means nothing, so that others are passed over
SETTINGS_OF_HTTP2: Final = frozenset((0x0, 0x2, 0x3, 0x4, 0x5))  # RFC 9114 11.2.2

# The beginning of all GOAWAY (RFC 9114 5.2): no client has a stream with a greater number.
MOST_STREAM_ID: Final = 2**62 - 4

NOTHING: Final = -1  # between two frames


def varint(number: int) -> bytes:
    """A number as QUIC writes it (RFC 9000 16)."""
    if number < 0x40:
        return bytes((number,))
    if number < 0x4000:
        return (number | 0x4000).to_bytes(2, "big")
    if number < 0x4000_0000:
        return (number | 0x8000_0000).to_bytes(4, "big")
    return (number | 0xC000_0000_0000_0000).to_bytes(8, "big")


def read_varint(octets: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends; -1 for the end when it is not all there."""
    if at >= len(octets):
        return 0, -1
    first = octets[at]
    if first < 0x40:
        return first, at + 1
    end = at + (1 << (first >> 6))
    if end > len(octets):
        return 0, -1
    number = int.from_bytes(octets[at:end], "big")
    return number & ((1 << (8 * (end - at) - 2)) - 1), end


def frame(kind: int, payload: bytes) -> bytes:
    """A whole frame."""
    return varint(kind) + varint(len(payload)) + payload


class FrameIntake:
    """Octets of one stream in, frames out.

    Attributes:
        kind: type of the frame that has begun and is not over; NOTHING between two.
        left: octets of its payload that were not taken yet.
    """

    __slots__ = ("_at", "_octets", "_pieces", "kind", "left")

    def __init__(self) -> None:
        self._octets = b""
        self._at = 0
        self._pieces: list[bytes] | None = None
        self.kind = NOTHING
        self.left = 0

    def append(self, octets: bytes) -> None:
        """They have arrived; of those before, at most half the head of a frame is left."""
        self._octets = self._octets[self._at :] + octets if self.has_octets else octets
        self._at = 0

    @property
    def has_octets(self) -> bool:
        """Some were not taken yet."""
        return self._at < len(self._octets)

    @property
    def is_midway(self) -> bool:
        """A frame has begun, or its head has, and is not over."""
        return self.kind != NOTHING or self.has_octets

    def begin(self) -> bool:
        """Take the head of the next frame, if it is there."""
        kind, at = read_varint(self._octets, self._at)
        if at < 0:
            return False
        left, at = read_varint(self._octets, at)
        if at < 0:
            return False
        self.kind, self.left, self._at = kind, left, at
        return True

    def part(self) -> bytes:
        """What there is of the payload."""
        octets, at = self._octets, self._at
        end = self._at = min(at + self.left, len(octets))
        self.left -= end - at
        if not self.left:
            self.kind = NOTHING
        return octets[at:end]

    def whole(self) -> bytes | None:
        """All of the payload; None when some of it is still to come."""
        part = self.part()
        if self.kind != NOTHING:
            if self._pieces is None:
                self._pieces = []
            self._pieces.append(part)
            return None
        if self._pieces is None:
            return part
        pieces, self._pieces = self._pieces, None
        return b"".join([*pieces, part])
