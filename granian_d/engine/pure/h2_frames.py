"""Cuts frames out of the stream and judges their form (RFC 9113 4, 6, 3.4).

Rules of this file: what can be judged of a frame by itself, and of the order in which the frames of
one field section come; streams and their states are not known here. It stands before the library,
which lets some of this pass, or blames the connection for what is a stream's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import FlowControlBroken, FrameSizeWrong, PeerTooBusy, ProtocolViolation

if TYPE_CHECKING:
    from granian_d.plan import Limits

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9
PRIORITY_UPDATE: Final = 0x10  # RFC 9218 7.1

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

HEAD_BYTES: Final = 9
LEAST_FRAME_BYTES: Final = 16384  # SETTINGS_MAX_FRAME_SIZE cannot be less (RFC 9113 6.5.2)
SECTION_FRAMES: Final = 64  # HEADERS and its CONTINUATIONs; an honest peer fills each of them
MOST: Final = 2**31 - 1  # of stream identifiers and windows

_SETTING_BYTES: Final = 6


class Form(NamedTuple):
    """What frames of a type look like.

    Attributes:
        streamed: it belongs to a stream, or else to the connection; None: to either.
        least_bytes: of the payload.
        most_bytes: of the payload; None: as much as SETTINGS_MAX_FRAME_SIZE allows.
        section: of RFC 9113.
    """

    streamed: bool | None
    least_bytes: int
    most_bytes: int | None
    section: str


FORMS: Final = {
    DATA: Form(True, 0, None, "RFC 9113 6.1"),
    HEADERS: Form(True, 0, None, "RFC 9113 6.2"),
    PRIORITY: Form(True, 0, None, "RFC 9113 6.3"),  # its size is its stream's affair
    RST_STREAM: Form(True, 4, 4, "RFC 9113 6.4"),
    SETTINGS: Form(False, 0, None, "RFC 9113 6.5"),
    PUSH_PROMISE: Form(True, 4, None, "RFC 9113 6.6"),
    PING: Form(False, 8, 8, "RFC 9113 6.7"),
    GOAWAY: Form(False, 8, None, "RFC 9113 6.8"),
    WINDOW_UPDATE: Form(None, 4, 4, "RFC 9113 6.9"),
    CONTINUATION: Form(True, 0, None, "RFC 9113 6.10"),
    PRIORITY_UPDATE: Form(False, 4, None, "RFC 9218 7.1"),
}


class Frame(NamedTuple):
    """A frame, or for HEADERS a whole field section.

    Attributes:
        kind: its type.
        flags: as sent; of a section those of its HEADERS.
        stream_id: 0 is the connection.
        payload: without padding and priority; of a section the whole field block.
        counted: what of it counts in flow control, padding too.
        depends_on: of a HEADERS with RFC 7540 priority, otherwise -1.
    """

    kind: int
    flags: int
    stream_id: int
    payload: bytes
    counted: int
    depends_on: int = -1


class FrameIntake:
    """Octets in, frames out.

    Attributes:
        greeted: the preface has come, and a SETTINGS behind it.
        begun: the preface has come.
        section: the HEADERS whose field block is not complete; None between sections.
    """

    __slots__ = (
        "_blocks",
        "_buffer",
        "_frames",
        "_most_block_bytes",
        "_most_frame_bytes",
        "_read",
        "begun",
        "greeted",
        "section",
    )

    def __init__(self, limits: Limits) -> None:
        self.begun = False
        self.greeted = False
        self.section: Frame | None = None
        self._buffer = bytearray()
        self._read = 0  # of the buffer
        self._blocks: list[bytes] = []
        self._frames = 0  # of the section
        self._most_frame_bytes = max(LEAST_FRAME_BYTES, limits.http2.frame_bytes)
        # A block is no larger than what it stands for, but for a few octets a field.
        self._most_block_bytes = max(2 * limits.http2.fields_bytes, self._most_frame_bytes)

    def append(self, data: bytes) -> None:
        """Octets have arrived."""
        del self._buffer[: self._read]
        self._read = 0
        self._buffer += data

    def clear(self) -> None:
        """They are of no more use."""
        self._buffer.clear()
        self._read = 0

    def take(self) -> Frame | None:
        """The next frame, None if it has not arrived yet.

        Raises:
            ProtocolViolation: the connection is of no more use.
        """
        if not self.begun and not self._take_preface():
            return None
        while True:
            frame = self._cut()
            if frame is None:
                return None
            whole = self._collect(frame)
            if whole is not None:
                return whole

    def _take_preface(self) -> bool:
        begin = bytes(self._buffer[: len(PREFACE)])
        if not PREFACE.startswith(begin):
            raise ProtocolViolation("no preface", "RFC 9113 3.4")
        if len(begin) < len(PREFACE):
            return False
        self._read = len(PREFACE)
        self.begun = True
        return True

    def _cut(self) -> Frame | None:
        """The next frame as it is on the wire."""
        buffer, at = self._buffer, self._read
        if len(buffer) - at < HEAD_BYTES:
            return None
        size = int.from_bytes(buffer[at : at + 3], "big")
        kind, flags = buffer[at + 3], buffer[at + 4]
        stream_id = int.from_bytes(buffer[at + 5 : at + 9], "big") & MOST
        self._check_form(kind, flags, stream_id, size)
        end = at + HEAD_BYTES + size
        if len(buffer) < end:
            return None
        self._read = end
        return _bare(Frame(kind, flags, stream_id, bytes(buffer[at + HEAD_BYTES : end]), size))

    def _check_form(self, kind: int, flags: int, stream_id: int, size: int) -> None:
        """Judge the head of a frame, whether its payload has come or not."""
        if not self.greeted:
            if kind != SETTINGS or flags & ACK:
                raise ProtocolViolation("a preface without SETTINGS", "RFC 9113 3.4")
            self.greeted = size == 0
        if size > self._most_frame_bytes:
            raise FrameSizeWrong("a frame longer than was allowed", "RFC 9113 4.2")
        if self.section is not None and (
            kind != CONTINUATION or stream_id != self.section.stream_id
        ):
            raise ProtocolViolation("a frame within a field section", "RFC 9113 6.10")
        form = FORMS.get(kind)
        if form is None:
            return  # RFC 9113 5.5: unknown types are ignored
        if kind == PUSH_PROMISE:
            raise ProtocolViolation("a push by a client", form.section)
        if form.streamed is not None and form.streamed != bool(stream_id):
            raise ProtocolViolation("a frame on a stream it cannot be on", form.section)
        if size < form.least_bytes or (form.most_bytes is not None and size > form.most_bytes):
            raise FrameSizeWrong("a frame of the wrong length", form.section)
        if kind == SETTINGS and (size % _SETTING_BYTES or (flags & ACK and size)):
            raise FrameSizeWrong("SETTINGS of a wrong length", form.section)
        if kind == CONTINUATION and self.section is None:
            raise ProtocolViolation("a CONTINUATION of nothing", form.section)

    def _collect(self, frame: Frame) -> Frame | None:
        """Join the blocks of a field section; other frames pass."""
        if frame.kind == SETTINGS:
            self.greeted = True
        if frame.kind == HEADERS:
            self.section = frame
            self._blocks = []
            self._frames = 0
        elif frame.kind != CONTINUATION:
            return frame
        self._frames += 1
        self._blocks.append(frame.payload)
        if self._frames > SECTION_FRAMES:
            raise PeerTooBusy("a field section of too many frames", "RFC 9113 10.5.1")
        if sum(map(len, self._blocks)) > self._most_block_bytes:
            raise PeerTooBusy("a field block too large", "RFC 9113 10.5.1")
        if not frame.flags & END_HEADERS:
            return None
        head, self.section = self.section, None
        assert head is not None
        return head._replace(payload=b"".join(self._blocks))


def _bare(frame: Frame) -> Frame:
    """A frame without its padding, and without the priority of RFC 7540."""
    if frame.kind not in (DATA, HEADERS):
        return frame
    payload = frame.payload
    padding_bytes = 0
    section = FORMS[frame.kind].section
    if frame.flags & PADDED:
        if not payload:
            raise FrameSizeWrong("a padded frame without the length of its padding", section)
        padding_bytes = payload[0]
        payload = payload[1:]
    depends_on = -1
    if frame.kind == HEADERS and frame.flags & PRIORITIZED:
        if len(payload) < 5:
            raise FrameSizeWrong("a HEADERS too short for its priority", section)
        depends_on = int.from_bytes(payload[:4], "big") & MOST
        payload = payload[5:]
    if padding_bytes > len(payload):
        raise ProtocolViolation("more padding than frame", section)
    payload = payload[: len(payload) - padding_bytes]
    return frame._replace(payload=payload, depends_on=depends_on)


HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8  # RFC 8441 3
NO_RFC7540_PRIORITIES: Final = 0x9  # RFC 9218 2.1

# The values that a setting may have. What is not here is ignored (RFC 9113 6.5.2).
_RANGES: Final = {
    HEADER_TABLE_SIZE: (0, 2**32 - 1),
    ENABLE_PUSH: (0, 1),
    MAX_CONCURRENT_STREAMS: (0, 2**32 - 1),
    INITIAL_WINDOW_SIZE: (0, MOST),
    MAX_FRAME_SIZE: (LEAST_FRAME_BYTES, 2**24 - 1),
    MAX_HEADER_LIST_SIZE: (0, 2**32 - 1),
    ENABLE_CONNECT_PROTOCOL: (0, 1),
    NO_RFC7540_PRIORITIES: (0, 1),
}


def judge_settings(payload: bytes) -> dict[int, int]:
    """The settings of a SETTINGS frame that are known here; of one that comes twice the last.

    Raises:
        ProtocolViolation: one has a value it cannot have.
        FlowControlBroken: a window beyond measure.
        FrameSizeWrong: the payload is no list of settings.
    """
    if len(payload) % _SETTING_BYTES:
        raise FrameSizeWrong("SETTINGS of a wrong length", "RFC 9113 6.5")
    settings = {}
    for at in range(0, len(payload), _SETTING_BYTES):
        name = int.from_bytes(payload[at : at + 2], "big")
        value = int.from_bytes(payload[at + 2 : at + 6], "big")
        if name not in _RANGES:
            continue
        least, most = _RANGES[name]
        if not least <= value <= most:
            kind = FlowControlBroken if name == INITIAL_WINDOW_SIZE else ProtocolViolation
            raise kind("a setting with a value it cannot have", "RFC 9113 6.5.2")
        settings[name] = value
    return settings
