"""Frames of RFC 6455 section 5: written as wrong as a case wants them, read as strictly as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 4  # of the three reserved bits, as one number: RSV1 is 4, RSV2 is 2, RSV3 is 1
MAX_CONTROL = 125  # octets, section 5.5

# Codes that may be sent (section 7.4 and IANA's registry); 1004 to 1006 and 1015 may not.
KNOWN_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class Violation(Exception):
    """The server has sent what no server may send."""


class Frame(NamedTuple):
    """One frame. Whether it is a valid one is the writer's business."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0


def close_payload(code: int | None, reason: bytes = b"") -> bytes:
    """Payload of a Close frame; without a code the reason stands alone, which is wrong."""
    return (b"" if code is None else code.to_bytes(2, "big")) + reason


def head(frame: Frame, key: bytes) -> bytes:
    """Head of a masked frame, in the shortest form of its length."""
    size = len(frame.payload)
    first = frame.fin << 7 | frame.rsv << 4 | frame.opcode
    if size <= 125:
        return bytes((first, 0x80 | size)) + key
    if size < 1 << 16:
        return bytes((first, 0x80 | 126)) + size.to_bytes(2, "big") + key
    return bytes((first, 0x80 | 127)) + size.to_bytes(8, "big") + key


def mask(payload: bytes, key: bytes) -> bytes:
    """Section 5.3: each octet XOR the key's, over and over."""
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def encode(frame: Frame, key: bytes) -> bytes:
    """Octets of a masked frame."""
    return head(frame, key) + mask(frame.payload, key)


def fragments(frame: Frame, size: int) -> Iterator[Frame]:
    """One message in frames of `size` octets; 0 leaves it in one.

    As in the suite, a payload that is a multiple of `size` (and more than once it) ends with an
    empty frame.
    """
    payload = frame.payload
    if not size or len(payload) <= size:
        yield frame
        return
    last = len(payload) // size
    for number in range(last + 1):
        part = payload[number * size : (number + 1) * size]
        opcode, rsv = (CONTINUATION, 0) if number else (frame.opcode, frame.rsv)
        yield Frame(opcode, part, number == last, rsv)


class Reader:
    """Cuts what a server sends into frames, and checks all that can be seen in one frame.

    Args:
        compressed: permessage-deflate was agreed on, so RSV1 has a meaning.
    """

    def __init__(self, compressed: bool) -> None:
        self._buffer = bytearray()
        self._rsv = RSV1 if compressed else 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with `data`.

        Raises:
            Violation: one of them is none that a server may send.
        """
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        frame = Frame(first & 15, b"", first > 127, first >> 4 & 7)
        self._check(frame, masked=second > 127)
        size, start = second & 127, 2
        if size > MAX_CONTROL:
            if frame.opcode >= CLOSE:
                raise Violation(f"a control frame of more than {MAX_CONTROL} octets")
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
            if size < (126 if start == 4 else 1 << 16) or size >= 1 << 63:
                raise Violation(f"a length of {size} in {start - 2} octets (section 5.2)")
        end = start + size
        if len(buffer) < end:
            return None
        payload = bytes(memoryview(buffer)[start:end])
        del buffer[:end]
        return frame._replace(payload=payload)

    def _check(self, frame: Frame, masked: bool) -> None:
        if masked:
            raise Violation("a masked frame (section 5.1)")
        if frame.opcode not in {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}:
            raise Violation(f"reserved opcode {frame.opcode}")
        if frame.opcode >= CLOSE and not frame.fin:
            raise Violation("a fragment of a control frame (section 5.4)")
        allowed = self._rsv if frame.opcode in {TEXT, BINARY} else 0
        if frame.rsv & ~allowed:
            raise Violation(f"RSV bits {frame.rsv:03b} that mean nothing here (section 5.2)")


def parse_close(payload: bytes) -> int | None:
    """Code of a Close frame that was received, None when it has none.

    Raises:
        Violation: section 5.5.1 or 7.4 forbids such a payload.
    """
    if not payload:
        return None
    if len(payload) == 1:
        raise Violation("a Close frame of one octet")
    code = int.from_bytes(payload[:2], "big")
    if code not in KNOWN_CODES and not 3000 <= code <= 4999:
        raise Violation(f"close code {code} on the wire (section 7.4)")
    decode(payload[2:], "a close reason")
    return code


def decode(payload: bytes, what: str) -> str:
    """Text of a payload.

    Raises:
        Violation: it is not UTF-8 (section 8.1).
    """
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise Violation(f"{what} that is not UTF-8: {error}") from error
