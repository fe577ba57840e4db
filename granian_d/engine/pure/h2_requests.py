"""The streams of a connection: the exchanges on them, what is asked for them, and how they end.

Rules of this file: what the peer sends is read in h2_reception, what is queued leaves by h2_sender.
Application code runs inside the Service and inside callbacks of an Exchange, and may come back into
any public method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.pure import h2_attacks, h2_priority, h2_streams
from granian_d.engine.pure.h2_exchange import H2Exchange, refusal
from granian_d.engine.pure.h2_patience import LINGER_S
from granian_d.engine.pure.h2_streams import ClosedStreams, Stream
from granian_d.engine.pure.h2_tunnel import CANCEL, StreamWire
from granian_d.errors import (
    Disconnected,
    ProtocolViolation,
    RequestTimeout,
)
from granian_d.http import states

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Endpoint, Leave, Service, Wire
    from granian_d.engine.pure.h2 import H2Endpoint
    from granian_d.engine.pure.h2_attacks import Watch
    from granian_d.engine.pure.h2_ledger import Ledger
    from granian_d.engine.pure.h2_sender import Sender
    from granian_d.errors import ProtocolViolation, RemoteError
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields, Peer, RequestHead
    from granian_d.plan import Limits

NO_ERROR: Final = 0x0
INTERNAL_ERROR: Final = 0x2

_BAD_REQUEST: Final = 400  # a malformed message: its stream is reset (RFC 9113 8.1.1)


class Requests:
    """See the head of this file.

    Attributes:
        open: streams that are not closed, by number.
        closed: what is remembered of the others.
        highest: number of the latest stream of the peer.
        begun: number of the latest that was not refused: what GOAWAY speaks of.
        deaf: new streams are passed over, as GOAWAY has said.
        peer: the two ends of the connection.
        observer: of the service.
    """

    __slots__ = (
        "_clock",
        "_endpoint",
        "_ledger",
        "_limits",
        "_sender",
        "_watch",
        "alt_svc",
        "begun",
        "closed",
        "deaf",
        "highest",
        "observer",
        "open",
        "peer",
    )

    def __init__(
        self,
        endpoint: H2Endpoint,
        ledger: Ledger,
        sender: Sender,
        watch: Watch,
        peer: Peer,
        terms: tuple[Service, Limits, Clock],
    ) -> None:
        self._endpoint = endpoint
        self._ledger = ledger
        self._sender = sender
        self._watch = watch
        service, self._limits, self._clock = terms
        self.closed = ClosedStreams()
        self.open: dict[int, Stream] = {}
        self.highest = 0
        self.begun = 0
        self.deaf = False
        self.peer = peer
        self.observer = service.observer
        self.alt_svc = self._limits.alt_svc

    def depart(self) -> None:
        """No stream is looked at after the ones that have begun."""
        self._endpoint.depart()

    def received(self, count: int) -> None:
        """So much of a body has come."""
        self._endpoint.received(count)

    # --- how they begin -----------------------------------------------------------------------

    def begin(self, stream_id: int, head: RequestHead, ended: bool) -> H2Exchange:
        """An exchange on a stream that the library knows of; it is not served yet."""
        self.highest = max(self.highest, stream_id)
        self.begun = stream_id
        priority = self._endpoint.priority(stream_id) or h2_priority.priority_of(head.fields)
        stream = self.open[stream_id] = Stream(stream_id, ended, priority)
        stream.left = head.content_length
        exchange = stream.exchange = H2Exchange(head, stream, self)
        if ended:
            exchange.feed_end()
        self.observer.began(exchange)
        return exchange

    # --- faults of the peer --------------------------------------------------------------------

    def cut_off(self, stream_id: int, violation: ProtocolViolation) -> None:
        """Reset a stream on which nothing is under way."""
        self._ledger.cut(stream_id, violation.h2_code)
        self.closed.add(stream_id, h2_streams.RESET_BY_US)
        self.observer.refused(self.peer, violation)
        self._endpoint.answered()
        self._watch.count(h2_attacks.RESETS)

    def offend(self, stream: Stream, violation: ProtocolViolation) -> None:
        """A stream error (RFC 9113 5.4.2)."""
        self._ledger.cut(stream.id, violation.h2_code)
        self.observer.refused(self.peer, violation)
        self.retire(stream, h2_streams.RESET_BY_US, violation)
        self._endpoint.answered()
        self._watch.count(h2_attacks.RESETS)

    def break_body(self, stream: Stream, violation: ProtocolViolation) -> None:
        """The body will never be complete: answer at once if nothing has been said yet."""
        exchange = stream.exchange
        if exchange is None:
            return
        stream.wanted = False
        stream.body_since = NEVER
        if exchange.state != states.AWAITED:
            exchange.feed_error(violation)
            self.credit(stream)
            return
        stream.exchange = None
        body_bytes = self.answer(stream, violation, exchange.head.method == "HEAD")
        exchange.overrule(violation, body_bytes, violation)
        self.observer.refused(self.peer, violation)
        self.observer.finished(exchange)
        self.credit(stream)

    def answer(self, stream: Stream, violation: ProtocolViolation, headless: bool) -> int:
        """Answer in place of the application; the length of the answer's body."""
        stream.head, body = refusal(violation)
        stream.wanted = False
        stream.last = True
        if headless:
            body = b""
        stream.put(body)
        self._sender.add(stream)
        return len(body)

    def _is_open(self, stream: Stream) -> bool:
        """What is asked for a stream that has gone, or after the end of all, is passed over."""
        return stream.id in self.open and not self._endpoint.over

    # --- asked by exchanges and tunnels --------------------------------------------------------

    def inform(self, stream: Stream, section: Fields) -> None:
        """Send an interim response."""
        if self._is_open(stream) and stream.head is None:
            self._ledger.send_section(stream.id, section, False)
            self._endpoint.proceed()

    def put(self, stream: Stream, data: bytes) -> bool:
        """Queue a part of an answer; its head and its end are noted in the stream."""
        if not self._is_open(stream):
            return True
        stream.put(data)
        if stream.has_output:
            self._sender.add(stream)
        self._endpoint.proceed()
        room = self._sender.room(stream, self._limits.http2.send_buffer_bytes)
        stream.full = not room
        return room

    def abort(self, stream: Stream) -> None:
        """The application gives up: the peer must not take the answer for complete."""
        self.cut(stream, INTERNAL_ERROR)

    def cut(self, stream: Stream, code: int) -> None:
        """Reset a stream for a reason of ours."""
        if self._is_open(stream):
            self._ledger.cut(stream.id, code)
            self.retire(stream, h2_streams.RESET_BY_US)
            self._endpoint.proceed()

    def part_taken(self, stream: Stream, count: int) -> None:
        """The application has pulled a part of the body."""
        if self._is_open(stream):
            count = min(count, stream.unread)  # credit for the rest was given when nobody wanted it
            stream.unread -= count
            self._ledger.read(stream.id, count, more=not stream.ended)
            self._endpoint.proceed()

    def body_wanted(self, stream: Stream, exchange: H2Exchange) -> None:
        """The application waits for more of the body."""
        if not self._is_open(stream):
            return
        if (
            exchange.head.expects_continue
            and not (exchange.continued or exchange.head_out)
            and not stream.came
        ):
            exchange.inform(100, ())
        if stream.body_since == NEVER:
            stream.body_since = self._clock.now
        self._endpoint.proceed()

    def tunnel(self, stream: Stream, head: Fields, make: Callable[[Wire], Endpoint]) -> None:
        """Feed what comes on a stream to what `make` makes of it."""
        exchange = stream.exchange
        assert exchange is not None
        stream.head = head
        stream.body_since = NEVER
        self._sender.add(stream)
        endpoint = stream.tunnel = make(StreamWire(stream, self))
        if self._endpoint.leave is not None:
            endpoint.drain(self._endpoint.leave)
        while (part := exchange.take_buffered()) is not None:
            endpoint.feed_data(part)
        self.credit(stream)
        if stream.ended and stream.wanted:
            endpoint.feed_eof()
        self._endpoint.proceed()

    def credit(self, stream: Stream) -> None:
        """Give the window back for what nobody holds any more."""
        withheld = stream.paused and stream.wanted
        if stream.unread and not withheld and self._is_open(stream):
            count, stream.unread = stream.unread, 0
            self._ledger.read(stream.id, count, more=not stream.ended)
            self._endpoint.proceed()

    # --- how streams end -----------------------------------------------------------------------

    def sent(self, stream: Stream) -> None:
        """Our END_STREAM has been written."""
        self._watch.finished()
        if stream.ended:
            self.retire(stream, h2_streams.ENDED, sent=True)
        elif stream.tunnel is not None:
            # The peer says END_STREAM too, after what it has sent by now: a while is given to it.
            stream.body_since = self._clock.now
        else:
            self._ledger.cut(stream.id, NO_ERROR)  # RFC 9113 8.1: the answer is complete
            error = Disconnected("the request has been answered")
            self.retire(stream, h2_streams.RESET_BY_US, error, sent=True)

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

    def drain(self, leave: Leave) -> None:
        """What has no end of its own is told that the worker leaves."""
        for stream in list(self.open.values()):
            if stream.tunnel is not None:
                stream.tunnel.drain(leave)

    def under_way(self, found: list[Exchange]) -> None:
        """See H2Endpoint."""
        found += [s.exchange for s in self.open.values() if s.exchange is not None]

    def reset(self, exchange: Exchange) -> None:
        """See H2Endpoint."""
        for stream in list(self.open.values()):
            if stream.exchange is exchange:
                self.cut(stream, CANCEL)

    def lose(self) -> None:
        """The connection is no more there."""
        for stream in list(self.open.values()):
            self.retire(stream, h2_streams.RESET_BY_US)

    def retire(
        self, stream: Stream, how: int, error: RemoteError | None = None, *, sent: bool = False
    ) -> None:
        """A stream is closed: tell everybody who is concerned.

        Args:
            stream: that one.
            how: a constant of h2_streams.
            error: for an application that still reads the body; None: Disconnected.
            sent: the whole answer has been handed to the wire.
        """
        if self.open.pop(stream.id, None) is None:
            return
        self._sender.forget(stream)
        self.closed.add(stream.id, how)
        if stream.unread:
            self._ledger.give_back(stream.unread)
        exchange, stream.exchange = stream.exchange, None
        tunnel, stream.tunnel = stream.tunnel, None
        self._endpoint.closed()
        if tunnel is not None:
            tunnel.feed_lost()
        elif exchange is not None:
            if not sent:
                exchange.lose(error)
            elif error is not None:
                exchange.feed_error(error)
            self.observer.finished(exchange)
            exchange.feed_room()  # a file that is being sent: there will be no other news

    # --- the wire and time ---------------------------------------------------------------------

    def wake(self) -> bool:
        """Tell those that wait for room, where there is some; whether there were any."""
        half = self._limits.http2.send_buffer_bytes // 2
        waiting = [stream for stream in self.open.values() if stream.full]
        woken = [stream for stream in waiting if self._sender.room(stream, half)]
        for stream in woken:
            stream.full = False
            if stream.tunnel is not None:
                stream.tunnel.feed_room()
            elif stream.exchange is not None:
                stream.exchange.feed_room()
        return bool(woken)

    def until(self) -> float:
        """When the first stream will have been waited for too long."""
        bodies = [self._until_body(stream) for stream in self.open.values()]
        stalled = self._sender.until_stalled(self._limits.write_timeout_s or NEVER)
        return min([stalled, *bodies])

    def until_tunnels(self) -> float:
        """When the first of what is tunnelled wants to be told the time."""
        tunnels = [stream.tunnel for stream in self.open.values() if stream.tunnel is not None]
        return min([tunnel.deadline for tunnel in tunnels], default=NEVER)

    def expire(self) -> None:
        """Look after those that have been waited for too long."""
        now = self._clock.now
        for stream in self._sender.stalled(now - (self._limits.write_timeout_s or NEVER)):
            self.cut(stream, CANCEL)
        for stream in list(self.open.values()):
            if stream.tunnel is not None and stream.tunnel.deadline <= now:
                stream.tunnel.expire()
            elif self._until_body(stream) <= now:
                self._expire_body(stream)

    def _until_body(self, stream: Stream) -> float:
        """When the peer must have sent more on a stream."""
        is_tunnel = stream.tunnel is not None
        return stream.body_since + (LINGER_S if is_tunnel else self._limits.body_timeout_s or NEVER)

    def _expire_body(self, stream: Stream) -> None:
        violation = RequestTimeout("the body did not arrive in time", "RFC 9110 15.5.9")
        exchange = stream.exchange
        if stream.tunnel is not None:
            self._ledger.cut(stream.id, NO_ERROR)
            self.retire(stream, h2_streams.RESET_BY_US)
        elif exchange is not None and exchange.state == states.AWAITED:
            self.break_body(stream, violation)
        elif stream.id in self.open:
            self._ledger.cut(stream.id, CANCEL)
            self.retire(stream, h2_streams.RESET_BY_US, violation)
