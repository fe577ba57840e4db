"""What a transport and an engine are to each other where connections are made of datagrams.

    transport -> Hall.feed          all connections of one UDP socket of one worker (QUIC)
    transport <- DatagramWire.send
                 Hall -> LinkEndpoint.feed_stream      one connection (HTTP/3 on its streams)
                 Hall <- Link.send

A hall is fed any number of datagrams in a row and then flushed once: what they have brought about
leaves together. Its time is exact, CLOCK_MONOTONIC in seconds as an argument, because loss is found
by it (RFC 9002); what HTTP waits for is on the coarse Clock, as on every other wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from granian_d.engine.contract import Clock, Leave, Service
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer
    from granian_d.plan import Limits


class Path(NamedTuple):
    """The two ends of a datagram; compared by value.

    Attributes:
        peer: the address that it came from, as the socket module has it.
        local: the address that it was sent to, "" where that is the one the socket is bound to.
    """

    peer: tuple[Any, ...]
    local: str


class Credentials(NamedTuple):
    """What a server shows and seals with.

    Attributes:
        pairs: certificates with their chain (PEM), keys (PEM), passwords ("" for none); the first
            is for those who ask for no other's name.
        ticket_keys: what keys of session tickets are derived from; b"" for no tickets.
        ticket_lifetime_s: how long a ticket counts.
    """

    pairs: tuple[tuple[bytes, bytes, str], ...]
    ticket_keys: bytes
    ticket_lifetime_s: float


class QuicTerms(NamedTuple):
    """What a hall is made with.

    Attributes:
        seat: of the worker; see engine.connection_ids.
        generation: of the worker.
        server: (address, port) that the socket is bound to.
        key: the daemon's QUIC key.
        credentials: for connections to come.
        handshake_timeout_s: from the first datagram of a connection.
        retry_above: handshakes at a time above which a peer has to prove its address; 0: always.
        early_data: 0-RTT is taken.
        idle_timeout_s: without a packet until a connection is forgotten.
    """

    seat: int
    generation: int
    server: tuple[str, int]
    key: bytes
    credentials: Credentials
    handshake_timeout_s: float
    retry_above: int
    early_data: bool
    idle_timeout_s: float


class LinkedConnection(Protocol):
    """One connection, as the worker knows it; see transport.contract.Connection."""

    @property
    def deadline(self) -> float:
        """When `expire` wants to be called, on the scale of the coarse clock."""

    def expire(self) -> None:
        """The deadline has passed."""

    def abort(self) -> Any:
        """End it at once."""

    def finish(self) -> Any:
        """End it in good order."""

    def under_way(self, found: list[Exchange]) -> None:
        """See engine.contract.Endpoint."""

    def reset(self, exchange: Exchange) -> None:
        """See engine.contract.Endpoint."""

    def queued_bytes(self) -> int:
        """Bytes of answers that the peer has not acknowledged."""

    def drain(self, leave: Leave) -> None:
        """See engine.contract.Endpoint."""


class DatagramWire(Protocol):
    """What a hall may ask of its transport."""

    def send(self, path: Path, datagrams: Sequence[bytes]) -> None:
        """Send them to one peer, in this order; what the kernel refuses for long is lost."""

    def relay(self, seat: int, path: Path, datagram: bytes) -> None:
        """Hand a datagram to the worker whose it is."""

    def soon(self) -> None:
        """Have `Hall.flush` called at the end of this turn of the loop (idempotent)."""

    def has_room(self) -> bool:
        """Whether one more connection may be taken."""

    def opened(self, connection: LinkedConnection) -> None:
        """A connection has begun."""

    def closed(self, connection: LinkedConnection) -> None:
        """A connection is no more."""

    def failed(self, peer: Peer, reason: str) -> None:
        """A handshake has come to nothing."""


class Hall(Protocol):
    """All connections of one socket."""

    alarm: float
    """When `wake` wants to be called, CLOCK_MONOTONIC; NEVER if not at all. May change at every
    call of the others."""

    def feed(self, path: Path, datagram: bytes, now: float) -> None:
        """A datagram has arrived; `flush` follows. Never raises for what a peer may send."""

    def flush(self, now: float) -> None:
        """Send what there is to be sent."""

    def wake(self, now: float) -> None:
        """`alarm` has passed. Flushes."""

    def drain(self, leave: Leave) -> None:
        """Drain all connections, those still to come too; see engine.contract.Endpoint."""

    def renew(self, credentials: Credentials) -> None:
        """Use these for connections to come."""

    def close(self) -> None:
        """The worker leaves: nothing is fed any more, and no connection is there."""


class HallMaker(Protocol):
    """What makes the hall of a socket."""

    def __call__(
        self,
        wire: DatagramWire,
        terms: QuicTerms,
        service: Service,
        limits: Limits,
        clock: Clock,
        /,
    ) -> Hall:
        """Make it; it is fed from then on.

        Raises:
            ConfigError: the credentials cannot be used for QUIC.
        """


class Link(Protocol):
    """One connection of QUIC, as HTTP/3 sees it: streams by number (RFC 9000 2.1).

    No call feeds back from within; what is asked for outside of a feed leaves soon.
    """

    peer: Peer
    """The two ends; another object after the peer has moved."""

    established: bool
    """The handshake is complete."""

    def open_uni(self) -> int:
        """Number of a new unidirectional stream of ours."""

    def send(self, stream_id: int, data: bytes, last: bool = False) -> None:
        """Queue octets, and with `last` the end of the stream."""

    def reset(self, stream_id: int, code: int) -> None:
        """RESET_STREAM: drop what was queued."""

    def stop(self, stream_id: int, code: int) -> None:
        """STOP_SENDING: what still comes is of no use."""

    def unsent_bytes(self, stream_id: int) -> int:
        """Octets that were queued and are in no packet yet."""

    def queued_bytes(self) -> int:
        """Octets of all streams that the peer has not acknowledged: lost, if it is closed now."""

    def consumed(self, stream_id: int, count: int) -> None:
        """So much was read for good: the peer may send as much more, on stream and connection."""

    def is_early(self, stream_id: int) -> bool:
        """It has come as 0-RTT, and who sent it may be repeating somebody else's."""

    def ping(self) -> None:
        """Have the peer show that it is there."""

    def close(self, code: int, reason: str = "") -> None:
        """End the connection with a code of HTTP/3; then only `feed_lost` comes."""


class LinkEndpoint(Protocol):
    """What speaks on a link: HTTP/3."""

    deadline: float
    """When `expire` wants to be called, on the scale of `Clock.now`; NEVER if not at all."""

    def feed_stream(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Octets of a stream, in order; with `ended`, they are the last."""

    def feed_reset(self, stream_id: int, code: int) -> None:
        """The peer sends no more on a stream, and what is missing will not come."""

    def feed_stop(self, stream_id: int, code: int) -> None:
        """The peer wants no more on a stream; it has been reset."""

    def feed_established(self) -> None:
        """The handshake is complete."""

    def feed_room(self) -> None:
        """Packets have left: `unsent_bytes` of streams may be fewer."""

    def feed_lost(self) -> None:
        """The connection is gone. Exactly once and last."""

    def expire(self) -> None:
        """`deadline` has passed."""

    def drain(self, leave: Leave) -> None:
        """See engine.contract.Endpoint."""

    def under_way(self, found: list[Exchange]) -> None:
        """See engine.contract.Endpoint."""

    def reset(self, exchange: Exchange) -> None:
        """See engine.contract.Endpoint."""


class LinkMaker(Protocol):
    """What makes the endpoint of a connection of QUIC."""

    def __call__(
        self, link: Link, service: Service, limits: Limits, clock: Clock, /
    ) -> LinkEndpoint:
        """Make it, once there is a connection; it is fed from then on."""
