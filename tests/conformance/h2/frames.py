"""HTTP/2 frames as octets (RFC 9113 4.1 and 6): written as asked, right or wrong, and read back.

Nothing here knows what is allowed. A builder puts what it is given where the RFC's drawing has it;
`frame` takes any type, flags, stream and payload, and is what broken frames are made with.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 3.4
HEAD = 9  # octets before a payload, RFC 9113 4.1
LARGEST_PAYLOAD = 2**24 - 1
RESERVED = 0x80000000  # the bit beside a stream identifier or an increment

# Flags; what a bit means depends on the type of the frame.
ACK = END_STREAM = 0x01
END_HEADERS = 0x04
PADDED = 0x08
PRIORITISED = 0x20


class Kind(IntEnum):
    """Types of frames, RFC 9113 6."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


UNKNOWN_KIND = 0x16  # nobody has registered it


# Octets of payload where they are fixed.
LENGTHS = {Kind.PRIORITY: 5, Kind.RST_STREAM: 4, Kind.PING: 8, Kind.WINDOW_UPDATE: 4}


class Setting(IntEnum):
    """Identifiers of settings, RFC 9113 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class Code(IntEnum):
    """Error codes, RFC 9113 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Priority(NamedTuple):
    """The deprecated priority of RFC 7540 5.3; `weight` as it is on the wire, one less than meant."""

    depends_on: int = 0
    weight: int = 255
    exclusive: bool = False

    def octets(self) -> bytes:
        return struct.pack(">IB", self.depends_on | self.exclusive << 31, self.weight)


# --- writing ----------------------------------------------------------------------------------------


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Any frame; `stream` may have the reserved bit set."""
    length = len(payload)
    return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def data(stream: int, octets: bytes, *, end: bool = True, padding: int | None = None) -> bytes:
    """DATA, RFC 9113 6.1."""
    flags, payload = _padded(octets, padding)
    return frame(Kind.DATA, flags | (END_STREAM if end else 0), stream, payload)


def headers(
    stream: int,
    block: bytes,
    *,
    end: bool = True,
    end_headers: bool = True,
    padding: int | None = None,
    priority: Priority | None = None,
) -> bytes:
    """HEADERS, RFC 9113 6.2."""
    if priority is not None:
        block = priority.octets() + block
    flags, payload = _padded(block, padding)
    flags |= END_STREAM if end else 0
    flags |= END_HEADERS if end_headers else 0
    flags |= PRIORITISED if priority is not None else 0
    return frame(Kind.HEADERS, flags, stream, payload)


def continuation(stream: int, block: bytes, *, end_headers: bool = True) -> bytes:
    """CONTINUATION, RFC 9113 6.10."""
    return frame(Kind.CONTINUATION, END_HEADERS if end_headers else 0, stream, block)


def priority(stream: int, value: Priority = Priority()) -> bytes:  # noqa: B008 - it is a constant
    """PRIORITY, RFC 9113 6.3."""
    return frame(Kind.PRIORITY, 0, stream, value.octets())


def rst_stream(stream: int, code: int = Code.CANCEL) -> bytes:
    """RST_STREAM, RFC 9113 6.4."""
    return frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", code))


def settings(*values: tuple[int, int]) -> bytes:
    """SETTINGS with (identifier, value) pairs in this order, RFC 9113 6.5."""
    return frame(Kind.SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in values))


def settings_ack() -> bytes:
    return frame(Kind.SETTINGS, ACK)


def push_promise(stream: int, promised: int, block: bytes) -> bytes:
    """PUSH_PROMISE, RFC 9113 6.6."""
    return frame(Kind.PUSH_PROMISE, END_HEADERS, stream, struct.pack(">I", promised) + block)


def ping(octets: bytes, *, ack: bool = False) -> bytes:
    """PING, RFC 9113 6.7."""
    return frame(Kind.PING, ACK if ack else 0, payload=octets)


def goaway(code: int, debug: bytes = b"", *, last_stream: int = 0) -> bytes:
    """GOAWAY, RFC 9113 6.8."""
    return frame(Kind.GOAWAY, payload=struct.pack(">II", last_stream, code) + debug)


def window_update(stream: int, increment: int) -> bytes:
    """WINDOW_UPDATE, RFC 9113 6.9."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def _padded(octets: bytes, padding: int | None) -> tuple[int, bytes]:
    if padding is None:
        return 0, octets
    return PADDED, bytes([padding]) + octets + bytes(padding)


# --- reading ----------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def acknowledges(self) -> bool:
        return self.kind in (Kind.SETTINGS, Kind.PING) and bool(self.flags & ACK)

    @property
    def ends_stream(self) -> bool:
        return self.kind in (Kind.DATA, Kind.HEADERS) and bool(self.flags & END_STREAM)

    @property
    def ends_headers(self) -> bool:
        return bool(self.flags & END_HEADERS)

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == Kind.GOAWAY else 0
        return int.from_bytes(self.payload[at : at + 4], "big")

    @property
    def content(self) -> bytes:
        """What stands between padding and priority in DATA or HEADERS, else the payload."""
        start, end = 0, len(self.payload)
        if self.kind in (Kind.DATA, Kind.HEADERS):
            if self.flags & PADDED:
                start, end = 1, end - self.payload[0]
            if self.kind == Kind.HEADERS and self.flags & PRIORITISED:
                start += 5
        return self.payload[start:end]

    @property
    def settings(self) -> list[tuple[int, int]]:
        """The (identifier, value) pairs of SETTINGS."""
        return list(struct.iter_unpack(">HI", self.payload))

    @property
    def flaw(self) -> str:
        """What is wrong with the length of its payload, if anything (RFC 9113 6)."""
        length = len(self.payload)
        if LENGTHS.get(self.kind, length) != length:
            return f"a payload of {length} octets"
        if self.kind == Kind.SETTINGS and length % 6:
            return f"settings of {length} octets"
        if self.kind == Kind.GOAWAY and length < 8:
            return f"a payload of {length} octets"
        if self.kind in (Kind.DATA, Kind.HEADERS) and self.flags & PADDED:
            return "" if length and self.payload[0] < length else "too much padding"
        return ""

    def __str__(self) -> str:
        words = [Kind(self.kind).name if self.kind in list(Kind) else f"frame 0x{self.kind:x}"]
        if self.acknowledges:
            words.append("(ACK)")
        if self.stream:
            words.append(f"stream {self.stream}")
        if self.kind == Kind.DATA:
            words.append(f"{len(self.payload)} octets")
        if self.ends_stream:
            words.append("END_STREAM")
        if self.kind in (Kind.RST_STREAM, Kind.GOAWAY):
            words.append(name_of(self.code))
        if self.kind == Kind.GOAWAY and self.payload[8:]:
            words.append(repr(self.payload[8:108]))
        return " ".join(words)


def name_of(code: int) -> str:
    """An error code's name, or its number."""
    return Code(code).name if code in list(Code) else f"0x{code:x}"


def payload_length(octets: bytes | bytearray) -> int:
    """What the head at the beginning says of its payload."""
    return int.from_bytes(octets[:3], "big")


def take(buffer: bytearray) -> Frame | None:
    """Take the first frame out of what was received; None while it is incomplete."""
    if len(buffer) < HEAD or len(buffer) < HEAD + payload_length(buffer):
        return None
    end = HEAD + payload_length(buffer)
    kind, flags, stream = struct.unpack_from(">BBI", buffer, 3)
    payload = bytes(buffer[HEAD:end])
    del buffer[:end]
    return Frame(kind, flags, stream & ~RESERVED, payload)
