"""A client of HTTP/2 made by hand: it may do what no library would, and sees every frame.

Nothing here is under test. `hpack` is its compressor; a second opinion on all of it is the client
of `h2` in test_h2_requests.
"""

from __future__ import annotations

from importlib.util import find_spec
from struct import pack, unpack
from typing import TYPE_CHECKING, Any

from hpack import Decoder, Encoder

from granian_d.engine import choose
from tests.unit.plan.specimens import HTTP2
from tests.wire.harness import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.engine.contract import EndpointMaker, UpgradedMaker

# Every test of HTTP/2 runs on all of them.
H2_ENGINES: dict[str, tuple[EndpointMaker, UpgradedMaker]] = {
    name: (choose.choose(name, "h2"), choose.choose(name, "h2c"))
    for name in ("pure", "native")
    if (name, "h2") in choose._MAKERS and find_spec(choose._MAKERS[name, "h2"][0])
}

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING = range(7)
GOAWAY, WINDOW_UPDATE, CONTINUATION, PRIORITY_UPDATE = 7, 8, 9, 16
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 5, 6, 7, 8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11

INITIAL_WINDOW_SIZE, ENABLE_CONNECT_PROTOCOL = 4, 8

GET = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]
HEAD = [(":method", "HEAD"), *GET[1:]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return pack(">LBL", len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    payload = b"".join(pack(">HL", *pair) for pair in (values or {}).items())
    return frame(SETTINGS, 0, 0, payload)


class Answer:
    """What has come on one stream."""

    def __init__(self) -> None:
        self.status = 0
        self.fields: dict[bytes, bytes] = {}
        self.interims: list[int] = []
        self.parts: list[bytes] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.ended = False
        self.reset: int | None = None
        self.kinds: list[int] = []

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def head(self, fields: list[tuple[bytes, bytes]]) -> None:
        if self.status:
            self.trailers = fields
            return
        assert fields[0][0] == b":status"
        status = int(fields[0][1])
        if status < 200:
            self.interims.append(status)
            return
        self.status = status
        self.fields = dict(fields[1:])


class H2Peer:
    """The other end of a `Line`."""

    def __init__(self, line: Line, values: dict[int, int] | None = None, *, greets: bool = True):
        self.line = line
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int]] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.credit: dict[int, int] = {}
        self.settings: dict[int, int] = {}
        self.settings_acks = 0
        self.order: list[int] = []  # of the streams of DATA
        self._read = 0
        self._next = 1
        if greets:
            self.say(PREFACE + settings(values))
            self.say(frame(SETTINGS, ACK))

    # --- says ----------------------------------------------------------------------------------

    def say(self, *octets: bytes) -> H2Peer:
        self.line.feed(*octets)
        return self.listen()

    def section(self, fields: Iterable[tuple[Any, Any]]) -> bytes:
        return self.encoder.encode(list(fields))

    def headers(self, stream: int, fields: Any, *, end: bool = True) -> bytes:
        flags = END_HEADERS | (END_STREAM if end else 0)
        return frame(HEADERS, flags, stream, self.section(fields))

    def ask(self, fields: Any = GET, *more: tuple[str, str], end: bool = True) -> int:
        """Send a request; the number of its stream."""
        stream, self._next = self._next, self._next + 2
        self.say(self.headers(stream, [*fields, *more], end=end))
        return stream

    def data(self, stream: int, data: bytes, *, end: bool = False) -> H2Peer:
        return self.say(frame(DATA, END_STREAM if end else 0, stream, data))

    def reset(self, stream: int, code: int = CANCEL) -> H2Peer:
        return self.say(frame(RST_STREAM, 0, stream, pack(">L", code)))

    def grant(self, stream: int, count: int) -> H2Peer:
        return self.say(frame(WINDOW_UPDATE, 0, stream, pack(">L", count)))

    def ping(self, data: bytes = b"12345678", flags: int = 0) -> H2Peer:
        return self.say(frame(PING, flags, 0, data))

    # --- hears ---------------------------------------------------------------------------------

    def listen(self) -> H2Peer:
        sent = self.line.sent
        while len(sent) - self._read >= 9:
            head, flags, stream = unpack(">LBL", sent[self._read : self._read + 9])
            size, kind = head >> 8, head & 0xFF
            payload = sent[self._read + 9 : self._read + 9 + size]
            assert len(payload) == size, "a frame that was not written whole"
            self._read += 9 + size
            self._hear(kind, flags, stream, payload)
        assert self._read == len(sent)
        return self

    def _hear(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS:
            if flags & ACK:
                self.settings_acks += 1
            else:
                pairs = [payload[at : at + 6] for at in range(0, len(payload), 6)]
                self.settings.update(unpack(">HL", pair) for pair in pairs)
        elif kind == PING:
            (self.pongs if flags & ACK else self.pings).append(payload)
        elif kind == GOAWAY:
            self.goaways.append(unpack(">LL", payload[:8]))
        elif kind == WINDOW_UPDATE:
            self.credit[stream] = self.credit.get(stream, 0) + unpack(">L", payload)[0]
        else:
            self._hear_answer(kind, flags, stream, payload)

    def _hear_answer(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        answer = self.answers.setdefault(stream, Answer())
        answer.kinds.append(kind)
        if kind == RST_STREAM:
            answer.reset = unpack(">L", payload)[0]
            return
        assert not answer.ended, "a frame behind the end"
        if kind == HEADERS:
            assert flags & END_HEADERS
            answer.head(self.decoder.decode(payload, raw=True))
        else:
            assert kind == DATA
            assert answer.status
            self.order.append(stream)
            answer.parts.append(payload)
        answer.ended = bool(flags & END_STREAM)


def http2(**changes: Any) -> Any:
    """Limits of HTTP/2, some of them changed."""
    from dataclasses import replace

    return replace(HTTP2, **changes)


def line(engine: str, app: Any, **options: Any) -> Line:
    return Line(H2_ENGINES[engine][0], app, **options)


def meet(engine: str, app: Any, values: dict[int, int] | None = None, **options: Any) -> H2Peer:
    """A connection that has begun."""
    return H2Peer(line(engine, app, **options), values)
