"""Requests on the streams of one connection, whatever frames them: the rules of HTTP/2 and HTTP/3.

Rules of this file: what the peer sends is read elsewhere, and how something is written is the
subclass's affair. Application code runs inside the Service and inside callbacks of an Exchange, and
may come back into any public method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from granian_d.engine.contract import NEVER
from granian_d.engine.pure import streams
from granian_d.engine.pure.patience import LINGER_S
from granian_d.engine.pure.priority import Wishes
from granian_d.engine.pure.stream_answers import Answers, refusal
from granian_d.engine.pure.stream_wire import StreamWire
from granian_d.engine.pure.streams import Stream
from granian_d.errors import BodyTooLarge, Disconnected, RequestTimeout
from granian_d.http import states

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from granian_d.engine.contract import Clock, Endpoint, Leave, Service, Wire
    from granian_d.engine.pure.attacks import Watch
    from granian_d.engine.pure.stream_exchange import StreamExchange
    from granian_d.errors import ProtocolViolation, RemoteError
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields, Peer
    from granian_d.plan import Limits

    class Connection(Protocol):
        """What the streams ask of the connection that they are on."""

        over: bool

        @property
        def leave(self) -> Leave | None:
            """The terms of the drain, once it was ordered."""

        def proceed(self) -> None:
            """Do all that can be done by now."""

        def closed(self) -> None:
            """A stream is no more."""


S = TypeVar("S", bound=Stream)


class StreamRequests(Generic[S]):
    """See the head of this file.

    Attributes:
        open: streams that are not closed, by number.
        answers: their heads.
        deaf: new streams are passed over, as GOAWAY has said.
        observer: of the service.
        wishes: priorities of streams that were not opened yet.
        internal_error, cancelled: codes with which streams are cut for reasons of ours.
        resets: what `Watch` counts where a stream is reset.
    """

    internal_error: ClassVar[int]
    cancelled: ClassVar[int]
    resets: ClassVar[int]

    __slots__ = (
        "_clock",
        "_connection",
        "_limits",
        "_watch",
        "answers",
        "deaf",
        "observer",
        "open",
        "wishes",
    )

    def __init__(
        self, connection: Connection, watch: Watch, terms: tuple[Service, Limits, Clock]
    ) -> None:
        self._connection = connection
        self._watch = watch
        service, self._limits, self._clock = terms
        self.open: dict[int, S] = {}
        self.deaf = False
        self.observer = service.observer
        self.answers = Answers(self._limits.alt_svc)
        self.wishes = Wishes()

    @property
    def peer(self) -> Peer:
        """The two ends of the connection."""
        raise NotImplementedError

    # --- for the subclass: how it is written ---------------------------------------------------

    def queued_bytes(self, stream: S) -> int:
        """Octets of a stream that were not sent yet."""
        raise NotImplementedError

    def put(self, stream: S, data: bytes) -> bool:
        """Queue a part of an answer; its head and its end are noted in the stream."""
        raise NotImplementedError

    def _queue(self, stream: S, data: bytes) -> None:
        """The same, where nobody waits for room."""
        raise NotImplementedError

    def _inform(self, stream: S, section: Fields) -> None:
        """Send an interim section."""
        raise NotImplementedError

    def _cut(self, stream: S, code: int) -> None:
        """Have the peer see that a stream is cut, in both directions."""
        raise NotImplementedError

    def _cut_for(self, stream: S, violation: ProtocolViolation) -> None:
        """The same, with the code of a violation."""
        raise NotImplementedError

    def _stop(self, stream: S) -> None:
        """Have the peer send no more: the answer is complete."""
        raise NotImplementedError

    def _read(self, stream: S, count: int) -> None:
        """Octets have been read for good: give their window back."""
        raise NotImplementedError

    def _forget(self, stream: S, how: int) -> None:
        """A stream is closed: nothing of it is sent, its unread octets are read for good."""
        raise NotImplementedError

    # --- faults of the peer --------------------------------------------------------------------

    def offend(self, stream: S, violation: ProtocolViolation) -> None:
        """A stream error (RFC 9113 5.4.2, RFC 9114 8)."""
        self._cut_for(stream, violation)
        self.observer.refused(self.peer, violation)
        self.retire(stream, streams.RESET_BY_US, violation)
        self._watch.count(self.resets)

    def break_body(self, stream: S, violation: ProtocolViolation) -> None:
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

    def answer(self, stream: S, violation: ProtocolViolation, headless: bool) -> int:
        """Answer in place of the application; the length of the answer's body."""
        stream.head, body = refusal(violation)
        stream.wanted = False
        stream.last = True
        if headless:
            body = b""
        self._queue(stream, body)
        return len(body)

    def _is_open(self, stream: S) -> bool:
        """What is asked for a stream that has gone, or after the end of all, is passed over."""
        return stream.id in self.open and not self._connection.over

    # --- asked by exchanges and tunnels --------------------------------------------------------

    def inform(self, stream: S, section: Fields) -> None:
        """Send an interim response."""
        if self._is_open(stream) and stream.head is None:
            self._inform(stream, section)
            self._connection.proceed()

    def abort(self, stream: S) -> None:
        """The application gives up: the peer must not take the answer for complete."""
        self.cut(stream, self.internal_error)

    def cut(self, stream: S, code: int) -> None:
        """Reset a stream for a reason of ours."""
        if self._is_open(stream):
            self._cut(stream, code)
            self.retire(stream, streams.RESET_BY_US)
            self._connection.proceed()

    def part_taken(self, stream: S, count: int) -> None:
        """The application has pulled a part of the body."""
        if self._is_open(stream):
            count = min(count, stream.unread)  # credit for the rest was given when nobody wanted it
            stream.unread -= count
            self._read(stream, count)
            self._connection.proceed()

    def body_wanted(self, stream: S, exchange: StreamExchange) -> None:
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
        self._connection.proceed()

    def tunnel(self, stream: S, head: Fields, make: Callable[[Wire], Endpoint]) -> None:
        """Feed what comes on a stream to what `make` makes of it."""
        exchange = stream.exchange
        assert exchange is not None
        stream.head = head
        stream.body_since = NEVER
        self._queue(stream, b"")
        endpoint = stream.tunnel = make(StreamWire(stream, self))
        if self._connection.leave is not None:
            endpoint.drain(self._connection.leave)
        while (part := exchange.take_buffered()) is not None:
            endpoint.feed_data(part)
        self.credit(stream)
        if stream.ended and stream.wanted:
            endpoint.feed_eof()
        self._connection.proceed()

    def credit(self, stream: S) -> None:
        """Give the window back for what nobody holds any more."""
        withheld = stream.paused and stream.wanted
        if stream.unread and not withheld and self._is_open(stream):
            count, stream.unread = stream.unread, 0
            self._read(stream, count)
            self._connection.proceed()

    # --- what the peer sends -------------------------------------------------------------------

    def deliver(self, stream: S, part: bytes) -> None:
        """A part of a body, for the application or for nobody."""
        stream.unread += len(part)
        if not part:
            return
        exchange = stream.exchange
        most = self._limits.body_bytes
        stream.body_since = NEVER
        if stream.tunnel is not None and stream.wanted:
            stream.tunnel.feed_data(part)
            self.credit(stream)
        elif exchange is None or not stream.wanted:
            self.credit(stream)
        elif 0 < most < stream.came and not exchange.head.protocol:
            self.break_body(stream, BodyTooLarge("a body too large", "RFC 9110 15.5.14"))
        else:
            exchange.feed(part)

    def deliver_end(self, stream: S) -> None:
        """The peer has ended a stream in good order."""
        stream.body_since = NEVER
        if stream.tunnel is not None:
            if stream.wanted:
                stream.tunnel.feed_eof()
            elif self._is_sent(stream):
                self.retire(stream, streams.ENDED)
        elif stream.exchange is not None and stream.wanted:
            stream.exchange.feed_end()

    # --- how streams end -----------------------------------------------------------------------

    def _is_sent(self, stream: S) -> bool:
        """Our end of a stream has been sent."""
        raise NotImplementedError

    def sent(self, stream: S) -> None:
        """Our end of a stream has been sent, and all before it."""
        self._watch.finished()
        if stream.ended:
            self.retire(stream, streams.ENDED, sent=True)
        elif stream.tunnel is not None:
            # The peer ends it too, after what it has sent by now: a while is given to it.
            stream.body_since = self._clock.now
        else:
            self._stop(stream)
            error = Disconnected("the request has been answered")
            self.retire(stream, streams.RESET_BY_US, error, sent=True)

    def drain(self, leave: Leave) -> None:
        """What has no end of its own is told that the worker leaves."""
        for stream in list(self.open.values()):
            if stream.tunnel is not None:
                stream.tunnel.drain(leave)

    def under_way(self, found: list[Exchange]) -> None:
        """See engine.contract.Endpoint."""
        found += [s.exchange for s in self.open.values() if s.exchange is not None]

    def reset(self, exchange: Exchange) -> None:
        """See engine.contract.Endpoint."""
        for stream in list(self.open.values()):
            if stream.exchange is exchange:
                self.cut(stream, self.cancelled)

    def lose(self) -> None:
        """The connection is no more there."""
        for stream in list(self.open.values()):
            self.retire(stream, streams.RESET_BY_US)

    def retire(
        self, stream: S, how: int, error: RemoteError | None = None, *, sent: bool = False
    ) -> None:
        """A stream is closed: tell everybody who is concerned.

        Args:
            stream: that one.
            how: a constant of `streams`.
            error: for an application that still reads the body; None: Disconnected.
            sent: the whole answer has been handed to the wire.
        """
        if self.open.pop(stream.id, None) is None:
            return
        self._forget(stream, how)
        exchange, stream.exchange = stream.exchange, None
        tunnel, stream.tunnel = stream.tunnel, None
        self._connection.closed()
        if tunnel is not None:
            tunnel.feed_lost()
        elif exchange is not None:
            if not sent:
                exchange.lose(error)
            elif error is not None:
                exchange.feed_error(error)
            self.observer.finished(exchange)
            exchange.feed_room()  # a file that is being sent: there will be no other news

    # --- room and time -------------------------------------------------------------------------

    def _wake(self, stream: S) -> None:
        """There is room again for one that was told to wait."""
        stream.full = False
        if stream.tunnel is not None:
            stream.tunnel.feed_room()
        elif stream.exchange is not None:
            stream.exchange.feed_room()

    def until_tunnels(self) -> float:
        """When the first of what is tunnelled wants to be told the time."""
        tunnels = [stream.tunnel for stream in self.open.values() if stream.tunnel is not None]
        return min([tunnel.deadline for tunnel in tunnels], default=NEVER)

    def _expire_streams(self) -> None:
        """Look after those of which more should have come."""
        now = self._clock.now
        for stream in list(self.open.values()):
            if stream.tunnel is not None and stream.tunnel.deadline <= now:
                stream.tunnel.expire()
            elif self._until_body(stream) <= now:
                self._expire_body(stream)

    def _until_body(self, stream: S) -> float:
        """When the peer must have sent more on a stream."""
        is_tunnel = stream.tunnel is not None
        return stream.body_since + (LINGER_S if is_tunnel else self._limits.body_timeout_s or NEVER)

    def _expire_body(self, stream: S) -> None:
        violation = RequestTimeout("the body did not arrive in time", "RFC 9110 15.5.9")
        exchange = stream.exchange
        if stream.tunnel is not None:
            self._stop(stream)
            self.retire(stream, streams.RESET_BY_US)
        elif exchange is not None and exchange.state == states.AWAITED:
            self.break_body(stream, violation)
        elif stream.id in self.open:
            self._cut(stream, self.cancelled)
            self.retire(stream, streams.RESET_BY_US, violation)
