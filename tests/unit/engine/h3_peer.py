"""A client of HTTP/3 made by hand, on a link of its own that stands for QUIC.

Nothing here is under test. `pylsqpack` is its compressor; a second opinion on all of it is the
client of aioquic in test_h3_quic.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pylsqpack

from granian_d.engine.contract import Clock
from granian_d.engine.pure.h3.endpoint import H3Endpoint
from granian_d.http.message import Peer
from tests.unit.engine.h2_peer import Answer
from tests.unit.plan.specimens import HTTP2, HTTP3, limits
from tests.wire.harness import LIMITS, Record, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.wire.harness import App

DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE = 0, 1, 3, 4, 5
GOAWAY, MAX_PUSH_ID, PRIORITY_UPDATE, GREASE = 7, 13, 0xF0700, 0x21

NO_ERROR, GENERAL_PROTOCOL_ERROR, INTERNAL_ERROR, STREAM_CREATION_ERROR = range(0x100, 0x104)
CLOSED_CRITICAL_STREAM, FRAME_UNEXPECTED, FRAME_ERROR, EXCESSIVE_LOAD = range(0x104, 0x108)
ID_ERROR, SETTINGS_ERROR, MISSING_SETTINGS, REQUEST_REJECTED = range(0x108, 0x10C)
REQUEST_CANCELLED, REQUEST_INCOMPLETE, MESSAGE_ERROR = range(0x10C, 0x10F)
DECOMPRESSION_FAILED, ENCODER_STREAM_ERROR, DECODER_STREAM_ERROR = range(0x200, 0x203)

CONTROL, ENCODER, DECODER = 2, 6, 10  # streams of the client; their types are 0, 2, 3

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]
HEAD = [(":method", "HEAD"), *GET[1:]]


def varint(number: int) -> bytes:
    for octets, flags in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if number < 1 << (8 * octets - 2):
            return (number | flags << (8 * octets - 2)).to_bytes(octets, "big")
    raise AssertionError(number)


def read_varint(octets: bytes, at: int) -> tuple[int, int]:
    size = 1 << (octets[at] >> 6)
    number = int.from_bytes(octets[at : at + size], "big") & (1 << (8 * size - 2)) - 1
    return number, at + size


def frame(kind: int, payload: bytes = b"") -> bytes:
    return varint(kind) + varint(len(payload)) + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    pairs = (values or {}).items()
    return frame(SETTINGS, b"".join(varint(name) + varint(value) for name, value in pairs))


def section(fields: Iterable[tuple[Any, Any]]) -> bytes:
    """A field block."""
    pairs = [(_octets(name), _octets(value)) for name, value in fields]
    return pylsqpack.Encoder().encode(0, pairs)[1]


def headers(fields: Iterable[tuple[Any, Any]]) -> bytes:
    return frame(HEADERS, section(fields))


def _octets(text: Any) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


class FakeLink:
    """A link whose packets leave when `flush` is called, and are acknowledged by `acknowledge`.

    Attributes:
        sent: what has left, by stream.
        rooms: how much more of a stream may leave; all of it where nothing is said.
    """

    def __init__(self) -> None:
        self.peer = Peer(("192.0.2.1", 4321), ("192.0.2.2", 443), "https")
        self.established = True
        self.early: set[int] = set()
        self.sent: defaultdict[int, bytes] = defaultdict(bytes)
        self.queued: defaultdict[int, bytes] = defaultdict(bytes)
        self.sends: list[int] = []  # streams, in order
        self.rooms: dict[int, int] = {}
        self.unacknowledged = 0
        self.acknowledges = True  # what has left, at once
        self.ends: set[int] = set()
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.stops: dict[int, int] = {}
        self.credit: defaultdict[int, int] = defaultdict(int)
        self.closed: tuple[int, str] | None = None
        self._next_uni = 3

    def open_uni(self) -> int:
        self._next_uni += 4
        return self._next_uni - 4

    def send(self, stream_id: int, data: bytes, last: bool = False) -> None:
        assert self.closed is None, "sent after the end"
        assert type(data) is bytes
        assert stream_id not in self.ends | set(self.resets), "sent behind the end of a stream"
        self.sends.append(stream_id)
        self.queued[stream_id] += data
        if last:
            self.ends.add(stream_id)

    def reset(self, stream_id: int, code: int) -> None:
        assert self.closed is None
        self.resets.setdefault(stream_id, code)
        self.queued.pop(stream_id, None)

    def stop(self, stream_id: int, code: int) -> None:
        assert self.closed is None
        self.stops.setdefault(stream_id, code)

    def unsent_bytes(self, stream_id: int) -> int:
        return len(self.queued.get(stream_id, b""))

    def queued_bytes(self) -> int:
        return self.unacknowledged + sum(map(len, self.queued.values()))

    def consumed(self, stream_id: int, count: int) -> None:
        assert self.closed is None
        assert count > 0
        self.credit[stream_id] += count

    def is_early(self, stream_id: int) -> bool:
        return not self.established and stream_id in self.early

    def ping(self) -> None:
        raise AssertionError("nobody asks for it")

    def close(self, code: int, reason: str = "") -> None:
        assert self.closed is None, "closed twice"
        self.closed = code, reason

    def flush(self) -> bool:
        """Packets leave; whether any did."""
        left = False
        for stream_id, queued in list(self.queued.items()):
            room = self.rooms.get(stream_id, len(queued))
            taken, kept = queued[:room], queued[room:]
            if stream_id in self.rooms:
                self.rooms[stream_id] -= len(taken)
            self.sent[stream_id] += taken
            self.queued[stream_id] = kept
            left = left or bool(taken) or (stream_id in self.ends - self.ended and not kept)
            if not kept and stream_id in self.ends:
                self.ended.add(stream_id)
            if not self.acknowledges:
                self.unacknowledged += len(taken)
        return left


class H3Peer:
    """The other end of a `FakeLink`, with everything on ours."""

    def __init__(
        self, app: App, *, greets: bool = True, engine: Any = "auto", **changes: Any
    ) -> None:
        assert set(changes) <= {*LIMITS, "http3"}
        self.clock = Clock(1000.0)
        self.link = FakeLink()
        self.record = Record()
        self.service = Scripted(app, self.record)
        terms = limits(**{**LIMITS, "http3": HTTP3, **changes})
        self.endpoint = H3Endpoint(engine, self.link, self.service, terms, self.clock)
        self.decoder = pylsqpack.Decoder(0, 0)
        self.answers: defaultdict[int, Answer] = defaultdict(Answer)
        self.settings: dict[int, int] = {}
        self.goaways: list[int] = []
        self._read: defaultdict[int, int] = defaultdict(int)
        self._next = 0
        if greets:
            self.say(CONTROL, b"\0" + settings())

    @property
    def fate(self) -> tuple[int, str] | None:
        return self.link.closed

    @property
    def code(self) -> int | None:
        """With which the connection was closed."""
        return None if self.link.closed is None else self.link.closed[0]

    # --- says ----------------------------------------------------------------------------------

    def say(self, stream: int, octets: bytes, *, end: bool = False) -> H3Peer:
        if self.link.closed is None:
            self.endpoint.feed_stream(stream, octets, end)
        return self.listen()

    def ask(self, fields: Any = GET, *more: tuple[Any, Any], end: bool = True) -> int:
        """Send a request; the number of its stream."""
        stream, self._next = self._next, self._next + 4
        self.say(stream, headers([*fields, *more]), end=end)
        return stream

    def data(self, stream: int, data: bytes, *, end: bool = False) -> H3Peer:
        return self.say(stream, frame(DATA, data) if data else b"", end=end)

    def control(self, octets: bytes) -> H3Peer:
        return self.say(CONTROL, octets)

    def reset(self, stream: int, code: int = REQUEST_CANCELLED) -> H3Peer:
        if self.link.closed is None:
            self.endpoint.feed_reset(stream, code)
        return self.listen()

    def stop(self, stream: int, code: int = REQUEST_CANCELLED) -> H3Peer:
        if self.link.closed is None:
            self.link.reset(stream, code)
            self.endpoint.feed_stop(stream, code)
        return self.listen()

    def room(self, stream: int, count: int) -> H3Peer:
        """Let so much more of an answer leave."""
        self.link.rooms[stream] = self.link.rooms.get(stream, 0) + count
        return self.listen()

    def acknowledge(self) -> H3Peer:
        self.link.unacknowledged = 0
        if self.link.closed is None:
            self.endpoint.feed_room()
        return self.listen()

    def lost(self) -> H3Peer:
        self.endpoint.feed_lost()
        return self

    def wait(self, seconds: float) -> H3Peer:
        """Time passes, in quarters of a second, as with the worker's coarse timer."""
        for _ in range(round(seconds * 4)):
            self.clock.now += 0.25
            if self.link.closed is None and self.endpoint.deadline <= self.clock.now:
                self.endpoint.expire()
                self.listen()
        return self

    # --- hears ---------------------------------------------------------------------------------

    def listen(self) -> H3Peer:
        while self.link.closed is None and self.link.flush():
            self.endpoint.feed_room()
        self.link.flush()
        for stream, octets in self.link.sent.items():
            self._hear(stream, octets)
        for stream, code in self.link.resets.items():
            self.answers[stream].reset = code
        return self

    def _hear(self, stream: int, octets: bytes) -> None:
        at = self._read[stream]
        if stream % 4 and not at and octets:
            assert octets[0] == 0, "no other stream but control is opened"
            at = 1
        while at < len(octets):
            try:
                kind, begin = read_varint(octets, at)
                size, begin = read_varint(octets, begin)
            except IndexError:
                break
            if begin + size > len(octets):
                break
            at = begin + size
            payload = octets[begin:at]
            if stream % 4:
                self._hear_control(kind, payload)
            else:
                self._hear_answer(self.answers[stream], kind, payload)
        self._read[stream] = at
        if stream in self.link.ended:
            assert at == len(octets)
            self.answers[stream].ended = True

    def _hear_control(self, kind: int, payload: bytes) -> None:
        if kind == GOAWAY:
            self.goaways.append(read_varint(payload, 0)[0])
            return
        assert kind == SETTINGS
        assert not self.settings, "SETTINGS twice"
        at = 0
        while at < len(payload):
            name, at = read_varint(payload, at)
            self.settings[name], at = read_varint(payload, at)

    def _hear_answer(self, answer: Answer, kind: int, payload: bytes) -> None:
        answer.kinds.append(kind)
        if kind == HEADERS:
            answer.head(self.decoder.feed_header(0, payload)[1])
        else:
            assert kind == DATA
            assert answer.status
            answer.parts.append(payload)


def http2(**changes: Any) -> Any:
    """Limits that HTTP/3 has from HTTP/2."""
    return replace(HTTP2, **changes)


def http3(**changes: Any) -> Any:
    return replace(HTTP3, **changes)
