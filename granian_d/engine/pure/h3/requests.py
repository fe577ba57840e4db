"""The streams of a connection of HTTP/3: how they begin, and what is written for them.

Rules of this file: what is the same on HTTP/2 is in stream_requests; what the peer sends is read in
reception, what is written leaves by sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.pure import streams
from granian_d.engine.pure.h3 import attacks
from granian_d.engine.pure.h3.frames import DATA, varint
from granian_d.engine.pure.h3.sender import Sender
from granian_d.engine.pure.h3.streams import BODY, Stream
from granian_d.engine.pure.priority import priority_of, turn
from granian_d.engine.pure.stream_answers import refusal
from granian_d.engine.pure.stream_exchange import StreamExchange
from granian_d.engine.pure.stream_requests import StreamRequests
from granian_d.errors import Disconnected, RequestTimeout, StreamRefused
from granian_d.http import states

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Service
    from granian_d.engine.datagrams import Link
    from granian_d.engine.pure.h3.attacks import Watch
    from granian_d.engine.pure.h3.endpoint import H3Endpoint
    from granian_d.engine.pure.h3.fields import Compression
    from granian_d.errors import ProtocolViolation
    from granian_d.http.message import Fields, Peer, RequestHead
    from granian_d.plan import Limits

# RFC 9114 8.1
NO_ERROR: Final = 0x100
INTERNAL_ERROR: Final = 0x102
REQUEST_CANCELLED: Final = 0x10C

_BAD_REQUEST: Final = 400  # a malformed message: its stream is reset (RFC 9114 4.1.2)

JOINED_BYTES: Final = 16384  # of a part that is copied to leave together with what is before it

_DATA: Final = varint(DATA)


class Requests(StreamRequests[Stream]):
    """See the head of this file.

    Attributes:
        beyond: number of the first stream behind all that have been opened.
    """

    internal_error: ClassVar[int] = INTERNAL_ERROR
    cancelled: ClassVar[int] = REQUEST_CANCELLED
    resets: ClassVar[int] = attacks.RESETS

    __slots__ = (
        "_compressed",
        "_compression",
        "_full",
        "_link",
        "_most",
        "_sender",
        "_skipped",
        "beyond",
    )

    def __init__(
        self,
        endpoint: H3Endpoint,
        link: Link,
        watch: Watch,
        compression: Compression,
        terms: tuple[Service, Limits, Clock],
    ) -> None:
        super().__init__(endpoint, watch, terms)
        self._link = link
        self._compression = compression
        http3 = self._limits.http3
        assert http3 is not None
        self._most = http3.send_buffer_bytes
        self._compressed: tuple[Fields, bytes] = [], b""  # the last head of an answer
        self._full: dict[int, Stream] = {}  # those that wait for room
        self._sender = Sender(link, self._clock)
        self._skipped: set[int] = set()  # numbers below `beyond` of which nothing has come yet
        self.beyond = 0

    @property
    def peer(self) -> Peer:
        """The two ends of the connection, as they are now."""
        return self._link.peer

    # --- how they begin ------------------------------------------------------------------------

    def admit(self, stream_id: int) -> Stream | None:
        """The stream of octets that have come; None when it is closed, or never looked at.

        Raises:
            PeerTooBusy: too many come behind GOAWAY.
        """
        stream = self.open.get(stream_id)
        if stream is not None:
            return stream
        if stream_id in self._skipped:
            self._skipped.discard(stream_id)
        elif stream_id < self.beyond:
            return None
        elif self.deaf:
            # The number stays behind `beyond`: what still comes of it is stopped once more.
            self._watch.count(attacks.LATE)
            self._link.reset(stream_id, StreamRefused.h3_code)
            self._link.stop(stream_id, StreamRefused.h3_code)
            return None
        else:
            if stream_id > self.beyond:
                # Streams are opened in order, but packets may overtake each other (RFC 9000 2.2).
                self._skipped.update(range(self.beyond, stream_id, 4))
            self.beyond = stream_id + 4
        stream = self.open[stream_id] = Stream(stream_id, self._clock.now)
        self._watch.progress()
        return stream

    def begin(self, stream: Stream, head: RequestHead, ended: bool) -> StreamExchange:
        """An exchange on a stream; it is not served yet."""
        wish = self.wishes.take(stream.id) or priority_of(head.fields)
        stream.urgency, stream.incremental = wish
        stream.left = head.content_length
        stream.since = NEVER
        exchange = stream.exchange = StreamExchange(head, stream, self)
        if ended:
            stream.ended = True
            exchange.feed_end()
        self.observer.began(exchange)
        return exchange

    def prioritize(self, stream_id: int, priority: tuple[int, bool]) -> None:
        """The peer has changed its mind about a request (RFC 9218 7)."""
        stream = self.open.get(stream_id)
        if stream is not None and stream.exchange is not None:
            stream.urgency, stream.incremental = priority
        elif stream is not None or stream_id >= self.beyond or stream_id in self._skipped:
            self.wishes.keep(stream_id, priority)

    def refuse(self, stream: Stream, violation: ProtocolViolation, method: bytes | None) -> None:
        """Deal with a request for which there is no exchange: answer it if it is more than bad.

        Args:
            stream: that of the request.
            violation: what is wrong with it.
            method: None where its section was not read.
        """
        stream.since = NEVER
        if violation.http_status == _BAD_REQUEST:
            self.offend(stream, violation)
            return
        if method is not None:
            self.answer(stream, violation, method == b"HEAD")
        else:
            self._answer_unread(stream, violation)
        self.observer.refused(self.peer, violation)

    def _answer_unread(self, stream: Stream, violation: ProtocolViolation) -> None:
        """Answer what may be a HEAD, or may be not: without content."""
        section, _ = refusal(violation)
        kept = [field for field in section if not field[0].startswith(b"content-")]
        stream.head = [*kept, (b"content-length", b"0")]
        stream.wanted = False
        stream.last = True
        self._queue(stream, b"")

    # --- how they end --------------------------------------------------------------------------

    def feed_reset(self, stream_id: int) -> None:
        """The peer sends no more on a stream, in no good order.

        An answer that has begun goes on: who does not want it says so, too (RFC 9114 4.1.1).

        Raises:
            PeerTooBusy: too many have been reset.
        """
        stream = self.admit(stream_id)
        if stream is None:
            return
        exchange = stream.exchange
        if stream.ended:
            return
        stream.ended = True
        answered = stream.last or (exchange is not None and exchange.state == states.STARTED)
        if answered and stream.tunnel is None:
            stream.body_since = NEVER
            if exchange is not None:
                exchange.feed_error(Disconnected("the peer has reset the request"))
        else:
            self._link.reset(stream_id, REQUEST_CANCELLED)
            self.retire(stream, streams.RESET_BY_PEER)
        self._watch.count(attacks.RESETS)

    def feed_stop(self, stream_id: int) -> None:
        """The peer wants no answer.

        Raises:
            PeerTooBusy: too many have been reset.
        """
        stream = self.admit(stream_id)
        if stream is not None:
            self._link.reset(stream_id, REQUEST_CANCELLED)
            if not stream.ended:
                self._link.stop(stream_id, REQUEST_CANCELLED)
            self.retire(stream, streams.RESET_BY_PEER)
            self._watch.count(attacks.RESETS)

    # --- how it is written ---------------------------------------------------------------------

    def queued_bytes(self, stream: Stream) -> int:
        """Octets of a stream that were not sent yet."""
        return self._link.unsent_bytes(stream.id) + stream.out_bytes

    def put(self, stream: Stream, data: bytes) -> bool:
        """Send a part of an answer; its head and its end are noted in the stream."""
        if stream.id not in self.open:
            return True
        self._queue(stream, data)
        room = stream.queued_bytes <= self._most
        if not room:
            stream.full = True
            self._full[stream.id] = stream
        return room

    def _queue(self, stream: Stream, data: bytes) -> None:
        pieces = []
        if stream.head is not None:
            if stream.head is not self._compressed[0]:
                self._compressed = stream.head, self._compression.section(stream.head)
            pieces.append(self._compressed[1])
            stream.head = None
        if data:
            pieces.append(_DATA + varint(len(data)))
            if stream.exchange is not None:
                stream.exchange.sent_bytes += len(data)
            if len(data) > JOINED_BYTES:
                self._sender.send(stream, b"".join(pieces), more=True)
                pieces.clear()
            pieces.append(data)
        if stream.last and stream.trailers:
            pieces.append(self._compression.section(stream.trailers))
        if pieces or stream.last:
            self._sender.send(stream, b"".join(pieces))

    def _inform(self, stream: Stream, section: Fields) -> None:
        self._link.send(stream.id, self._compression.section(section))

    def _cut(self, stream: Stream, code: int) -> None:
        if stream.exchange is not None:
            unsent = self.queued_bytes(stream)
            stream.exchange.sent_bytes = max(0, stream.exchange.sent_bytes - unsent)
        self._link.reset(stream.id, code)
        if not stream.ended:
            self._link.stop(stream.id, code)

    def _cut_for(self, stream: Stream, violation: ProtocolViolation) -> None:
        self._cut(stream, violation.h3_code)

    def _stop(self, stream: Stream) -> None:
        self._link.stop(stream.id, NO_ERROR)  # RFC 9114 4.1.1

    def _read(self, stream: Stream, count: int) -> None:
        self._link.consumed(stream.id, count)

    def _forget(self, stream: Stream, how: int) -> None:  # noqa: ARG002 - QUIC remembers it
        self._sender.forget(stream)
        self._full.pop(stream.id, None)
        if stream.unread and not self._connection.over:
            self._link.consumed(stream.id, stream.unread)

    def _is_sent(self, stream: Stream) -> bool:
        return stream.last and not self._sender.is_waiting(stream)

    # --- room and time -------------------------------------------------------------------------

    def feed_room(self) -> None:
        """Packets have left: some of what waited may be in them."""
        for stream in self._sender.pump():
            if stream.last:
                self.sent(stream)
        if self._full:
            half = self._most // 2
            roomy = [stream for stream in self._full.values() if stream.queued_bytes <= half]
            for stream in sorted(roomy, key=turn):
                if self._full.pop(stream.id, None) is not None:
                    self._wake(stream)

    def until(self) -> float:
        """When the first stream will have been waited for too long."""
        patience_s = self._limits.write_timeout_s or NEVER
        until = [self._sender.until_stalled(patience_s)]
        patience_for_head_s = self._limits.head_timeout_s or NEVER
        until += [stream.since + patience_for_head_s for stream in self.open.values()]
        until += [self._until_body(stream) for stream in self.open.values()]
        return min(until)

    def expire(self) -> None:
        """Look after those that have been waited for too long."""
        now = self._clock.now
        patience_for_head_s = self._limits.head_timeout_s or NEVER
        for stream in self._sender.stalled(now - (self._limits.write_timeout_s or NEVER)):
            self.cut(stream, REQUEST_CANCELLED)
        for stream in list(self.open.values()):
            if stream.since + patience_for_head_s <= now:
                late = RequestTimeout("a head did not arrive in time", "RFC 9110 15.5.9")
                stream.stage = BODY
                self.refuse(stream, late, None)
        self._expire_streams()
