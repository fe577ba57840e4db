"""The streams of a connection of HTTP/2: how they begin, and what is written for them.

Rules of this file: what is the same on HTTP/3 is in stream_requests; what the peer sends is read in
h2_reception, what is queued leaves by h2_sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.pure import h2_attacks, streams
from granian_d.engine.pure.h2_streams import ClosedStreams, Stream
from granian_d.engine.pure.priority import priority_of
from granian_d.engine.pure.stream_exchange import StreamExchange
from granian_d.engine.pure.stream_requests import StreamRequests
from granian_d.errors import Disconnected

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Service
    from granian_d.engine.pure.h2 import H2Endpoint
    from granian_d.engine.pure.h2_attacks import Watch
    from granian_d.engine.pure.h2_ledger import Ledger
    from granian_d.engine.pure.h2_sender import Sender
    from granian_d.errors import ProtocolViolation
    from granian_d.http.message import Fields, Peer, RequestHead
    from granian_d.plan import Limits

# RFC 9113 7
NO_ERROR: Final = 0x0
INTERNAL_ERROR: Final = 0x2
CANCEL: Final = 0x8


class Requests(StreamRequests[Stream]):
    """See the head of this file.

    Attributes:
        closed: what is remembered of streams that are.
        highest: number of the latest stream of the peer.
        begun: number of the latest that was not refused: what GOAWAY speaks of.
    """

    internal_error: ClassVar[int] = INTERNAL_ERROR
    cancelled: ClassVar[int] = CANCEL
    resets: ClassVar[int] = h2_attacks.RESETS

    __slots__ = ("_endpoint", "_ledger", "_peer", "_sender", "begun", "closed", "highest")

    def __init__(
        self,
        endpoint: H2Endpoint,
        ledger: Ledger,
        sender: Sender,
        watch: Watch,
        peer: Peer,
        terms: tuple[Service, Limits, Clock],
    ) -> None:
        super().__init__(endpoint, watch, terms)
        self._endpoint = endpoint
        self._ledger = ledger
        self._sender = sender
        self._peer = peer
        self.closed = ClosedStreams()
        self.highest = 0
        self.begun = 0

    @property
    def peer(self) -> Peer:
        """The two ends of the connection."""
        return self._peer

    def depart(self) -> None:
        """No stream is looked at after the ones that have begun."""
        self._endpoint.depart()

    def received(self, count: int) -> None:
        """So much of a body has come."""
        self._endpoint.received(count)

    # --- how they begin -----------------------------------------------------------------------

    def begin(self, stream_id: int, head: RequestHead, ended: bool) -> StreamExchange:
        """An exchange on a stream that the library knows of; it is not served yet."""
        self.highest = max(self.highest, stream_id)
        self.begun = stream_id
        wish = self.wishes.take(stream_id) or priority_of(head.fields)
        stream = self.open[stream_id] = Stream(stream_id, ended, wish)
        stream.left = head.content_length
        exchange = stream.exchange = StreamExchange(head, stream, self)
        if ended:
            exchange.feed_end()
        self.observer.began(exchange)
        return exchange

    # --- faults of the peer --------------------------------------------------------------------

    def cut_off(self, stream_id: int, violation: ProtocolViolation) -> None:
        """Reset a stream on which nothing is under way."""
        self._ledger.cut(stream_id, violation.h2_code)
        self.closed.add(stream_id, streams.RESET_BY_US)
        self.observer.refused(self.peer, violation)
        self._endpoint.answered()
        self._watch.count(h2_attacks.RESETS)

    def offend(self, stream: Stream, violation: ProtocolViolation) -> None:
        """A stream error (RFC 9113 5.4.2)."""
        super().offend(stream, violation)
        self._endpoint.answered()

    # --- how it is written ---------------------------------------------------------------------

    def queued_bytes(self, stream: Stream) -> int:
        """Octets of a stream that were not sent yet."""
        return stream.out_bytes

    def put(self, stream: Stream, data: bytes) -> bool:
        """Queue a part of an answer; its head and its end are noted in the stream."""
        if not self._is_open(stream):
            return True
        self._queue(stream, data)
        self._endpoint.proceed()
        room = self._sender.room(stream, self._limits.http2.send_buffer_bytes)
        stream.full = not room
        return room

    def _queue(self, stream: Stream, data: bytes) -> None:
        stream.put(data)
        if stream.has_output:
            self._sender.add(stream)

    def _inform(self, stream: Stream, section: Fields) -> None:
        self._ledger.send_section(stream.id, section, False)

    def _cut(self, stream: Stream, code: int) -> None:
        self._ledger.cut(stream.id, code)

    def _cut_for(self, stream: Stream, violation: ProtocolViolation) -> None:
        self._ledger.cut(stream.id, violation.h2_code)

    def _stop(self, stream: Stream) -> None:
        self._ledger.cut(stream.id, NO_ERROR)  # RFC 9113 8.1

    def _read(self, stream: Stream, count: int) -> None:
        self._ledger.read(stream.id, count, more=not stream.ended)

    def _forget(self, stream: Stream, how: int) -> None:
        self._sender.forget(stream)
        self.closed.add(stream.id, how)
        if stream.unread:
            self._ledger.give_back(stream.unread)

    def _is_sent(self, stream: Stream) -> bool:
        return not stream.has_output

    # --- the wire and time ---------------------------------------------------------------------

    def feed_eof(self) -> None:
        """The peer will send nothing more, on any stream."""
        for stream in list(self.open.values()):
            if stream.tunnel is not None:
                if stream.wanted and not stream.ended:
                    stream.tunnel.feed_eof()
            elif (exchange := stream.exchange) is not None:
                if not stream.ended:
                    reason = "the peer closed the connection before the body was complete"
                    exchange.feed_error(Disconnected(reason))
                exchange.feed_gone()

    def wake(self) -> bool:
        """Tell those that wait for room, where there is some; whether there were any."""
        half = self._limits.http2.send_buffer_bytes // 2
        waiting = [stream for stream in self.open.values() if stream.full]
        woken = [stream for stream in waiting if self._sender.room(stream, half)]
        for stream in woken:
            self._wake(stream)
        return bool(woken)

    def until(self) -> float:
        """When the first stream will have been waited for too long."""
        bodies = [self._until_body(stream) for stream in self.open.values()]
        stalled = self._sender.until_stalled(self._limits.write_timeout_s or NEVER)
        return min([stalled, *bodies])

    def expire(self) -> None:
        """Look after those that have been waited for too long."""
        now = self._clock.now
        for stream in self._sender.stalled(now - (self._limits.write_timeout_s or NEVER)):
            self.cut(stream, CANCEL)
        self._expire_streams()
