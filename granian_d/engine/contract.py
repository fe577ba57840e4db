"""What a transport and an engine are to each other: the two halves of one connection.

The engine is sans-I/O: bytes, the end of the stream and expired deadlines are fed to an Endpoint;
what it wants done it asks of its Wire. Time is the coarse clock below, never a call of its own.
What is made of datagrams has contracts of its own: engine.datagrams.

A transport feeds in this order: `feed_data` any number of times, `feed_eof` at most once,
`feed_lost` exactly once and last. Between them `feed_room` after a `write` that returned False,
`expire` when `deadline` has passed, `drain` at most once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange, Observer
    from granian_d.http.handshake import Offer
    from granian_d.http.message import Peer, RequestHead
    from granian_d.http.session import Session
    from granian_d.plan import Limits

NEVER: Final = float("inf")


class Clock:
    """CLOCK_MONOTONIC in seconds, as of the last tick of the worker's one coarse timer."""

    __slots__ = ("now",)

    def __init__(self, now: float) -> None:
        self.now = now


class Leave(NamedTuple):
    """How a worker that leaves parts from its connections.

    Attributes:
        idle_s: how long an idle connection may wait for its next request.
        spread_s: what has no end of its own (a WebSocket) is ended by us, each at its own moment
            within this time, so that not all peers come back at once.
        restarting: another worker takes over, the peer may come back at once.
    """

    idle_s: float
    spread_s: float = 0.0
    restarting: bool = False


class Wire(Protocol):
    """What an Endpoint may ask of its transport."""

    def write(self, data: bytes) -> bool:
        """Queue bytes. False when the queue is above its high-water mark: wait for `feed_room`."""

    def pause(self) -> None:
        """Stop feeding data (idempotent)."""

    def resume(self) -> None:
        """Feed data again (idempotent). Never feeds from within the call."""

    def queued_bytes(self) -> int:
        """Bytes of the queue that the peer has not taken yet: how a slow peer shows progress."""

    def switch(self, endpoint: Endpoint) -> None:
        """Feed `endpoint` from now on: another protocol begins on this connection.

        The one that asks feeds it what it has left over of the old one's bytes, and is itself fed
        nothing any more. Who was told to drain tells the new one.
        """

    def finish(self) -> None:
        """Write out the queue, half-close, discard what still arrives, then close.

        Lingering for a moment keeps the peer from losing the answer to a RST (RFC 9112 9.6).
        Nothing but `feed_lost` is fed after this call.
        """

    def abort(self) -> None:
        """Close at once with a reset and drop the queue; only `feed_lost` is fed after this call.

        The reset is what keeps a peer from taking a response that is delimited by the end of the
        connection (RFC 9112 6.3) for complete.
        """


class Endpoint(Protocol):
    """One connection at wire level."""

    deadline: float
    """When `expire` wants to be called, on the scale of `Clock.now`; NEVER if not at all."""

    def feed_data(self, data: bytes) -> None:
        """Bytes have arrived."""

    def feed_eof(self) -> None:
        """The peer has closed its sending side; the other direction may still be open."""

    def feed_lost(self) -> None:
        """The connection is gone in both directions."""

    def feed_room(self) -> None:
        """The wire's queue has fallen below its low-water mark."""

    def expire(self) -> None:
        """`deadline` has passed."""

    def drain(self, leave: Leave) -> None:
        """Finish what is going on, start nothing new after it.

        The next answer says `Connection: close` (or GOAWAY). A connection on which no request is
        under way is closed once it has been idle for `leave.idle_s` seconds since its last answer.
        May come again with other terms.
        """

    def under_way(self, found: list[Exchange]) -> None:
        """Add the exchanges to `found` that have begun and are not over, oldest first.

        On HTTP/2 also those whose answer is whole but not all written. Costs nothing until asked.
        """

    def reset(self, exchange: Exchange) -> None:
        """Cut one of those: its stream, or the connection where that has no other."""


class EndpointMaker(Protocol):
    """What makes the endpoint of a connection."""

    def __call__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock, /
    ) -> Endpoint:
        """Make it; it is fed from then on."""


class UpgradedMaker(Protocol):
    """What goes on with HTTP/2 where a request of HTTP/1.1 has asked for it (RFC 7540 3.2)."""

    def __call__(
        self,
        wire: Wire,
        peer: Peer,
        service: Service,
        limits: Limits,
        clock: Clock,
        head: RequestHead,
        settings: bytes,
        /,
    ) -> Endpoint:
        """Make the endpoint, and have the request served as its first stream.

        `head` is of version "2" and has no body; `settings` is the payload of a SETTINGS frame.
        """


class SessionMaker(Protocol):
    """What makes a conversation out of a request for one."""

    def __call__(
        self, exchange: Exchange, offer: Offer, limits: Limits, clock: Clock, /
    ) -> Session:
        """Make it; nothing is answered yet."""


class Service(Protocol):
    """Where an engine's exchanges go: the worker's dispatch."""

    observer: Observer

    def serve(self, exchange: Exchange) -> None:
        """Have the application answer the exchange. Never raises, never blocks."""

    def converse(self, session: Session) -> None:
        """Have the application accept the conversation or refuse it. Never raises, never blocks.

        Engines offer one only where `Limits.websocket` is not None: otherwise the request for it is
        an exchange like all others.
        """
