"""What a client says beside its requests, on unidirectional streams (RFC 9114 6.2, 7.2).

Rules of this file: all that is wrong here costs the connection (RFC 9114 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.pure.h3 import frames
from granian_d.engine.pure.h3.attacks import UNKNOWN
from granian_d.engine.pure.h3.frames import FrameIntake, read_varint
from granian_d.engine.pure.priority import parse_priority
from granian_d.errors import (
    CriticalStreamClosed,
    FrameSizeWrong,
    FrameUnexpected,
    PeerTooBusy,
    SettingsMissing,
    SettingsWrong,
    StreamUnwanted,
    WrongId,
)

if TYPE_CHECKING:
    from granian_d.engine.datagrams import Link
    from granian_d.engine.pure.h3.attacks import Watch
    from granian_d.engine.pure.h3.endpoint import H3Endpoint
    from granian_d.engine.pure.h3.fields import Compression

STREAM_CREATION_ERROR: Final = 0x103  # RFC 9114 8.1

MOST_FRAME_BYTES: Final = 4096  # of a frame that is read whole: some hundred settings

_PASSED_OVER: Final = -1  # in place of the type of a stream that is not read

_CRITICAL: Final = frozenset((frames.CONTROL, frames.QPACK_ENCODER, frames.QPACK_DECODER))
_ELSEWHERE: Final = frames.OF_HTTP2 | {frames.DATA, frames.HEADERS, frames.PUSH_PROMISE}
_READ: Final = frozenset(
    (
        frames.SETTINGS,
        frames.GOAWAY,
        frames.MAX_PUSH_ID,
        frames.CANCEL_PUSH,
        frames.PRIORITY_UPDATE,
        frames.PRIORITY_UPDATE_OF_PUSH,
    )
)


class Control:
    """The unidirectional streams of the peer."""

    __slots__ = (
        "_compression",
        "_endpoint",
        "_intake",
        "_kinds",
        "_link",
        "_most_push_id",
        "_parting_id",
        "_settled",
        "_unnamed",
        "_watch",
    )

    def __init__(
        self, endpoint: H3Endpoint, link: Link, watch: Watch, compression: Compression
    ) -> None:
        self._endpoint = endpoint
        self._link = link
        self._watch = watch
        self._compression = compression
        self._intake = FrameIntake()
        self._kinds: dict[int, int] = {}  # of the streams that we read, by number
        self._unnamed: dict[int, bytes] = {}  # of those whose type has not come: what has
        self._settled = False  # SETTINGS has begun to come
        self._most_push_id = -1
        self._parting_id: int | None = None  # of the peer's last GOAWAY

    def receive(self, stream_id: int, octets: bytes, ended: bool) -> None:
        """Octets of a stream.

        Raises:
            ProtocolViolation: the connection cannot go on.
        """
        if octets:
            self._link.consumed(stream_id, len(octets))
        kind = self._kinds.get(stream_id)
        if kind is None:
            begun = self._unnamed.pop(stream_id, b"") + octets
            number, at = read_varint(begun, 0)
            if at < 0:
                if not ended:  # else it has never begun (RFC 9114 6.2)
                    self._unnamed[stream_id] = begun
                return
            kind = self._kinds[stream_id] = self._judge_stream(stream_id, number)
            octets = begun[at:]
        if octets:
            self._read(kind, octets)
        if ended:
            self.close(stream_id)

    def close(self, stream_id: int) -> None:
        """A stream has ended, or was reset.

        Raises:
            CriticalStreamClosed: it has to last.
        """
        self._unnamed.pop(stream_id, None)
        if self._kinds.pop(stream_id, _PASSED_OVER) != _PASSED_OVER:
            raise CriticalStreamClosed("the end of a critical stream", "RFC 9114 6.2.1")

    def _judge_stream(self, stream_id: int, kind: int) -> int:
        """The type of a stream is known; what becomes of it."""
        if kind == frames.PUSH:
            raise StreamUnwanted("push by a client", "RFC 9114 6.2.2")
        if kind not in _CRITICAL:
            self._watch.count(UNKNOWN)
            self._link.stop(stream_id, STREAM_CREATION_ERROR)  # RFC 9114 6.2
            return _PASSED_OVER
        if kind in self._kinds.values():
            raise StreamUnwanted("a second stream of its type", "RFC 9114 6.2.1, RFC 9204 4.2")
        return kind

    def _read(self, kind: int, octets: bytes) -> None:
        if kind == frames.QPACK_ENCODER:
            self._compression.read_encoder(octets)
        elif kind == frames.QPACK_DECODER:
            self._compression.read_decoder(octets)
        elif kind == frames.CONTROL:
            self._read_frames(octets)

    def _read_frames(self, octets: bytes) -> None:
        intake = self._intake
        intake.append(octets)
        while True:
            if intake.kind == frames.NOTHING:
                if not intake.begin():
                    return
                self._judge(intake.kind, intake.left)
            kind = intake.kind
            payload = intake.whole() if kind in _READ else intake.part()
            if intake.kind != frames.NOTHING:
                return
            if kind in _READ and payload is not None:
                self._receive(kind, payload)

    def _judge(self, kind: int, size: int) -> None:
        """A frame has begun."""
        if kind in _ELSEWHERE:
            raise FrameUnexpected("a frame that has no place in control", "RFC 9114 7.2")
        if not self._settled:
            if kind != frames.SETTINGS:
                raise SettingsMissing("control without SETTINGS", "RFC 9114 6.2.1")
            self._settled = True
        elif kind == frames.SETTINGS:
            raise FrameUnexpected("SETTINGS twice", "RFC 9114 7.2.4")
        if kind not in _READ:
            self._watch.count(UNKNOWN)
        elif size > MOST_FRAME_BYTES:
            raise PeerTooBusy("a frame of control far too large", "RFC 9114 10.5")

    def _receive(self, kind: int, payload: bytes) -> None:
        match kind:
            case frames.SETTINGS:
                judge_settings(payload)
            case frames.GOAWAY:
                self._receive_goaway(_number(payload))
            case frames.MAX_PUSH_ID:
                self._receive_max_push_id(_number(payload))
            case frames.CANCEL_PUSH:
                _number(payload)
                raise WrongId("a push that was not promised", "RFC 9114 7.2.3")
            case frames.PRIORITY_UPDATE:
                self._receive_priority(payload)
            case _:
                raise WrongId("a priority of a push that was not promised", "RFC 9218 7.2")

    def _receive_goaway(self, push_id: int) -> None:
        """The peer leaves. What the number says is about push, which there is not."""
        self._watch.count(frames.GOAWAY)
        if self._parting_id is not None and push_id > self._parting_id:
            raise WrongId("a GOAWAY that takes back another", "RFC 9114 5.2")
        self._parting_id = push_id
        self._endpoint.peer_leaves = True

    def _receive_max_push_id(self, push_id: int) -> None:
        self._watch.count(frames.MAX_PUSH_ID)
        if push_id < self._most_push_id:
            raise WrongId("a MAX_PUSH_ID that takes back another", "RFC 9114 7.2.7")
        self._most_push_id = push_id

    def _receive_priority(self, payload: bytes) -> None:
        self._watch.count(frames.PRIORITY_UPDATE)
        stream_id, at = read_varint(payload, 0)
        if at < 0:
            raise FrameSizeWrong("a PRIORITY_UPDATE too short", "RFC 9218 7.2")
        if stream_id % 4:
            raise WrongId("a priority of no request", "RFC 9218 7.2")
        self._endpoint.prioritize(stream_id, parse_priority(payload[at:]))


def judge_settings(payload: bytes) -> dict[int, int]:
    """The settings of a SETTINGS frame (RFC 9114 7.2.4).

    None of them changes what we do: we neither push nor fill tables, and a limit of an answer's
    size is advice.

    Raises:
        SettingsWrong: one stands there twice, or is none, or has a value that it cannot have.
        FrameSizeWrong: the payload is no list of settings.
    """
    settings: dict[int, int] = {}
    at = 0
    while at < len(payload):
        name, at = read_varint(payload, at)
        value, at = read_varint(payload, at) if at > 0 else (0, at)
        if at < 0:
            raise FrameSizeWrong("SETTINGS of a wrong length", "RFC 9114 7.2.4")
        if name in frames.SETTINGS_OF_HTTP2:
            raise SettingsWrong("a setting of HTTP/2", "RFC 9114 7.2.4.1")
        if name in settings:
            raise SettingsWrong("a setting twice", "RFC 9114 7.2.4")
        if name == frames.ENABLE_CONNECT_PROTOCOL and value > 1:
            raise SettingsWrong("a setting with a value it cannot have", "RFC 8441 3")
        settings[name] = value
    return settings


def _number(payload: bytes) -> int:
    """The payload of a frame that has nothing but a number."""
    number, at = read_varint(payload, 0)
    if at != len(payload):
        raise FrameSizeWrong("a frame that is not one number", "RFC 9114 7.1")
    return number
