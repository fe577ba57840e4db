"""What the peer sends on its streams (RFC 9113 5.1, 6, 8.1).

Rules of this file: frames come from the endpoint, judged by form. What is a stream's fault is given
to `Requests.offend` (5.4.2), what is the connection's is raised (5.4.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine import upgrade
from granian_d.engine.pure import h2_attacks, h2_frames, streams
from granian_d.engine.pure.h2_streams import Stream
from granian_d.errors import (
    FlowControlBroken,
    ProtocolViolation,
    StreamIsClosed,
    StreamRefused,
)
from granian_d.http import pseudo
from granian_d.http.handshake import judge_handshake

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Service
    from granian_d.engine.pure.h2_attacks import Watch
    from granian_d.engine.pure.h2_frames import Frame
    from granian_d.engine.pure.h2_ledger import Ledger
    from granian_d.engine.pure.h2_requests import Requests
    from granian_d.http.message import Fields
    from granian_d.plan import Limits

_BAD_REQUEST: Final = 400  # a malformed message: its stream is reset (RFC 9113 8.1.1)


class Reception:
    """Reads frames on streams, for the streams of one connection."""

    __slots__ = ("_ledger", "_limits", "_requests", "_terms", "_watch")

    def __init__(
        self,
        requests: Requests,
        ledger: Ledger,
        watch: Watch,
        terms: tuple[Service, Limits, Clock],
    ) -> None:
        self._requests = requests
        self._ledger = ledger
        self._watch = watch
        self._terms = terms
        self._limits = terms[1]

    def receive(self, frame: Frame) -> None:
        """A frame on a stream.

        Raises:
            ProtocolViolation: the connection cannot go on.
        """
        stream = self._requests.open.get(frame.stream_id)
        fields = self._ledger.decode(frame.payload) if frame.kind == h2_frames.HEADERS else []
        if stream is not None:
            self._receive_on(stream, frame, fields)
        elif frame.stream_id <= self._requests.highest and frame.stream_id % 2:
            self._receive_on_closed(frame)
        elif frame.kind == h2_frames.HEADERS and frame.stream_id % 2:
            self._open(frame, fields)
        else:
            raise ProtocolViolation("a frame on an idle stream", "RFC 9113 5.1")

    def _receive_on(self, stream: Stream, frame: Frame, fields: Fields) -> None:
        if frame.kind == h2_frames.DATA:
            self._receive_data(stream, frame)
        elif frame.kind == h2_frames.HEADERS:
            self._receive_trailers(stream, frame, fields)
        elif frame.kind == h2_frames.RST_STREAM:
            self._receive_reset(stream, frame)
        else:
            self._receive_window(stream, frame)

    def _receive_on_closed(self, frame: Frame) -> None:
        """What an honest peer could not know when it sent it is passed over (RFC 9113 5.1)."""
        if frame.kind in (h2_frames.RST_STREAM, h2_frames.WINDOW_UPDATE):
            self._watch.count(frame.kind)
            return
        how = self._requests.closed.how(frame.stream_id)
        if how is None and frame.kind == h2_frames.HEADERS:
            raise ProtocolViolation("a stream number used before", "RFC 9113 5.1.1")
        if how is None or how == streams.ENDED:
            raise StreamIsClosed("a frame on a closed stream", "RFC 9113 5.1")
        if frame.kind == h2_frames.DATA:
            self._ledger.drop(frame.counted)
        if how == streams.RESET_BY_PEER:
            violation = StreamIsClosed("a frame on a stream that was reset", "RFC 9113 5.1")
            self._requests.cut_off(frame.stream_id, violation)

    def _open(self, frame: Frame, fields: Fields) -> None:
        """A new stream."""
        self._requests.highest = frame.stream_id
        if self._requests.deaf:
            self._requests.closed.add(frame.stream_id, streams.RESET_BY_US)
            return
        ended = bool(frame.flags & h2_frames.END_STREAM)
        self._ledger.open(frame.stream_id, ended)
        self._watch.progress()
        if frame.depends_on == frame.stream_id:
            violation = ProtocolViolation("a stream that depends on itself", "RFC 9113 5.3.1")
            self._requests.cut_off(frame.stream_id, violation)
        elif len(self._requests.open) >= self._limits.http2.streams:
            self._requests.cut_off(
                frame.stream_id, StreamRefused("too many streams", "RFC 9113 5.1.2")
            )
        else:
            self._begin(frame.stream_id, fields, ended)

    def _begin(self, stream_id: int, fields: Fields, ended: bool) -> None:
        """Judge a request and have it answered."""
        self._requests.begun = stream_id
        if not self._limits.keep_alive:
            self._requests.depart()
        try:
            head = pseudo.judge_request(fields, ended, self._limits)
            offer = judge_handshake(head) if head.protocol else None
        except ProtocolViolation as violation:
            if violation.http_status == _BAD_REQUEST:
                self._requests.cut_off(stream_id, violation)
            else:
                stream = self._requests.open[stream_id] = Stream(stream_id, ended, (0, False))
                self._requests.answer(stream, violation, dict(fields).get(b":method") == b"HEAD")
                self._requests.observer.refused(self._requests.peer, violation)
            return
        exchange = self._requests.begin(stream_id, head, ended)
        if offer is None:
            self._terms[0].serve(exchange)
        else:
            upgrade.offer_session("pure", exchange, offer, *self._terms)

    def _receive_data(self, stream: Stream, frame: Frame) -> None:
        if stream.ended:
            self._ledger.drop(frame.counted)
            self._requests.offend(stream, StreamIsClosed("DATA on an ended stream", "RFC 9113 5.1"))
            return
        ended = bool(frame.flags & h2_frames.END_STREAM)
        size = len(frame.payload)
        if size or ended:
            self._watch.forget(h2_attacks.EMPTY_DATA)
            self._watch.progress()
        else:
            self._watch.count(h2_attacks.EMPTY_DATA)
        # With the padding as part of the payload: it counts the same in the library's windows.
        flags = frame.flags & h2_frames.END_STREAM
        self._ledger.take(h2_frames.DATA, flags, stream.id, bytes(frame.counted))
        self._ledger.read(stream.id, frame.counted - size, more=not ended)
        self._requests.received(size)
        stream.came += size
        if stream.left is not None:
            stream.left -= size
            if stream.left < 0 or (ended and stream.left):
                stream.unread += size
                reason = "a body of another length than Content-Length"
                self._requests.offend(stream, ProtocolViolation(reason, "RFC 9113 8.1.1"))
                return
        if ended:
            stream.ended = True
        self._requests.deliver(stream, frame.payload)
        if ended and stream.id in self._requests.open:
            self._requests.deliver_end(stream)

    def _receive_trailers(self, stream: Stream, frame: Frame, fields: Fields) -> None:
        """Trailers are checked and dropped, as on HTTP/1."""
        if stream.ended:
            self._requests.offend(
                stream, StreamIsClosed("HEADERS on an ended stream", "RFC 9113 5.1")
            )
            return
        try:
            if not frame.flags & h2_frames.END_STREAM:
                raise ProtocolViolation("a second section that ends nothing", "RFC 9113 8.1")
            if frame.depends_on == stream.id:
                raise ProtocolViolation("a stream that depends on itself", "RFC 9113 5.3.1")
            if stream.tunnel is not None:
                raise ProtocolViolation("trailers in a tunnel", "RFC 9113 8.5")
            if stream.left:
                raise ProtocolViolation("a body shorter than Content-Length", "RFC 9113 8.1.1")
            pseudo.check_trailers(fields)
        except ProtocolViolation as violation:
            self._requests.offend(stream, violation)
            return
        self._ledger.open(stream.id, True)
        stream.ended = True
        self._requests.deliver_end(stream)

    def _receive_reset(self, stream: Stream, frame: Frame) -> None:
        self._ledger.take(h2_frames.RST_STREAM, 0, stream.id, frame.payload)
        self._requests.retire(stream, streams.RESET_BY_PEER)
        self._watch.count(h2_attacks.RESETS)

    def _receive_window(self, stream: Stream, frame: Frame) -> None:
        self._watch.count(frame.kind)
        increment = int.from_bytes(frame.payload, "big") & h2_frames.MOST
        if not increment:
            self._requests.offend(stream, ProtocolViolation("a WINDOW_UPDATE of 0", "RFC 9113 6.9"))
        elif self._ledger.stream_window(stream.id) + increment > h2_frames.MOST:
            self._requests.offend(
                stream, FlowControlBroken("a window beyond measure", "RFC 9113 6.9.1")
            )
        else:
            self._ledger.take(frame.kind, 0, stream.id, increment.to_bytes(4, "big"))
