"""One stream connection (TCP or unix): the loop's transport above, an engine's Endpoint below.

Its last act is the lingering close of RFC 9112 9.6: after the last answer our direction is
closed, and what the peer still sends is read and dropped until it closes too. Closing at once
would answer those bytes with a RST, which may destroy the answer before the peer has read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from granian_d.engine.contract import NEVER
from granian_d.http.message import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from granian_d.engine.contract import Endpoint, EndpointMaker, Leave, Service
    from granian_d.http.exchange import Exchange
    from granian_d.plan import Limits
    from granian_d.transport.deadlines import Deadlines

# Above it `write` says "wait": enough for a few large parts, little enough for 10 000 slow readers.
HIGH_WATER_BYTES: Final = 256 * 1024
LINGER_S: Final = 2.0  # for the peer to read the answer and close; a lost peer costs no more
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # struct linger: on, for no time (socket(7))
_SIOCOUTQNSD: Final = 0x894B  # octets not sent: linux/sockios.h
_NOTHING: Final = bytes(4)  # an int
FLUSH_LOOK_S: Final = 1.0  # how often the flushing of a finished connection is looked at


class StreamConnections:
    """The open connections of a worker, and what they share."""

    __slots__ = ("_changed", "_leave", "deadlines", "limits", "open", "service")

    def __init__(
        self,
        service: Service,
        limits: Limits,
        deadlines: Deadlines,
        changed: Callable[[int], None],
    ) -> None:
        """Make an empty set.

        Args:
            service: where its exchanges go.
            limits: what one peer may cost.
            deadlines: the worker's coarse timer.
            changed: is told the number of open connections whenever it changes.
        """
        self.service = service
        self.limits = limits
        self.deadlines = deadlines
        self.open: set[StreamConnection] = set()
        self._changed = changed
        self._leave: Leave | None = None

    def take(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, maker: EndpointMaker
    ) -> asyncio.Task[Any] | None:
        """Make a connection of an accepted socket; the task that does it, if it takes one."""
        making: Coroutine[Any, Any, Any] = loop.connect_accepted_socket(
            partial(StreamConnection, self, maker), sock
        )
        return loop.create_task(making)

    def add(self, connection: StreamConnection) -> None:
        """A connection has been made."""
        self.open.add(connection)
        self.deadlines.add(connection)
        self._changed(len(self.open))

    def under_way(self) -> list[Exchange]:
        """The exchanges of all of them that have begun and are not over."""
        found: list[Exchange] = []
        for connection in self.open:
            connection.under_way(found)
        return found

    def drain(self, leave: Leave) -> None:
        """Drain those that are open, and those still to come out of the accept queue."""
        self._leave = leave
        for connection in list(self.open):
            connection.drain(leave)

    def greet(self, connection: StreamConnection) -> None:
        """A connection can be spoken to: tell it what all of them have been told."""
        if self._leave is not None:
            connection.drain(self._leave)

    def discard(self, connection: StreamConnection) -> None:
        """A connection is lost."""
        self.open.discard(connection)
        self.deadlines.discard(connection)
        self._changed(len(self.open))


class StreamConnection(asyncio.Protocol):
    """Both the loop's protocol and the endpoint's Wire."""

    __slots__ = (
        "_deadline",
        "_endpoint",
        "_eof",
        "_finishing",
        "_full",
        "_maker",
        "_owner",
        "_patience_until",
        "_paused",
        "_transport",
        "_unsent",
    )

    _transport: asyncio.Transport
    _endpoint: Endpoint

    def __init__(self, owner: StreamConnections, maker: EndpointMaker) -> None:
        self._owner = owner
        self._maker = maker
        self._paused = False
        self._full = False
        self._eof = False
        self._finishing = False
        self._deadline = NEVER  # when the lingering close is looked at next
        self._patience_until = NEVER  # when it is given up, unless the queue has moved
        self._unsent = 0  # octets, when the lingering close last looked

    # --- called by the loop --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the endpoint that will speak on this connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        owner = self._owner
        peer = _peer(self._transport)
        owner.add(self)  # starts the clock that the endpoint's first deadline is read from
        clock = owner.deadlines.clock
        self._endpoint = self._maker(self, peer, owner.service, owner.limits, clock)
        owner.greet(self)

    def data_received(self, data: bytes) -> None:
        """Bytes for the endpoint; dropped while the connection lingers."""
        if not self._finishing:
            self._endpoint.feed_data(data)

    def eof_received(self) -> bool:
        """The peer has closed its direction. Ours stays open (True) until the last answer."""
        if self._eof:
            return True  # uvloop says it again after a pause in reading
        self._eof = True
        if self._finishing:
            self._transport.close()
        else:
            self._endpoint.feed_eof()
        return True

    def pause_writing(self) -> None:
        """The queue is above the high-water mark."""
        self._full = True

    def resume_writing(self) -> None:
        """The queue is below the low-water mark."""
        self._full = False
        if not self._finishing:
            self._endpoint.feed_room()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Gone in both directions."""
        self._owner.discard(self)
        self._endpoint.feed_lost()

    # --- called by the endpoint (engine.contract.Wire) -----------------------------------------

    def write(self, data: bytes) -> bool:
        """Queue bytes; False above the high-water mark, and when the connection is breaking.

        The loop tells of a broken connection in its next turn only. Whoever waits for room lets
        that turn come; an endless stream that never waited would keep the loop for itself.
        """
        self._transport.write(data)
        return not (self._full or self._transport.is_closing())

    def pause(self) -> None:
        """Feed no data for now."""
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Feed data again."""
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def queued_bytes(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._transport.get_write_buffer_size()

    def switch(self, endpoint: Endpoint) -> None:
        """Feed another endpoint from now on."""
        self._endpoint = endpoint

    def finish(self) -> None:
        """Write out the queue, half-close, linger, close."""
        if self._finishing or self._transport.is_closing():
            return
        self._finishing = True
        clock = self._owner.deadlines.clock
        self._unsent = self._unsent_octets()
        self._patience_until = clock.now + self._patience_s()
        self._deadline = clock.now + FLUSH_LOOK_S
        if self._eof:
            self._transport.close()  # flushes first; the peer has nothing more to send
        else:
            self.resume()  # what still comes must be read to be dropped
            self._transport.write_eof()

    def abort(self) -> None:
        """Close at once, with a RST: an answer delimited by the close must not look whole."""
        self._finishing = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    # --- called by the worker and its timer ------------------------------------------------------

    @property
    def deadline(self) -> float:
        """The endpoint's deadline, or that of the lingering close once it has begun."""
        return self._deadline if self._finishing else self._endpoint.deadline

    def expire(self) -> None:
        """The deadline has passed."""
        if not self._finishing:
            self._endpoint.expire()
            return
        now = self._owner.deadlines.clock.now
        unsent = self._unsent_octets()
        if unsent != self._unsent:
            self._unsent = unsent
            self._patience_until = now + self._patience_s()
        if now < self._patience_until:
            self._deadline = now + FLUSH_LOOK_S
        elif unsent:
            self.abort()
        else:
            self._transport.close()  # the kernel sees to what is on its way

    def drain(self, leave: Leave) -> None:
        """Finish what is going on; see engine.contract.Endpoint.drain."""
        if not self._finishing:
            self._endpoint.drain(leave)

    def under_way(self, found: list[Exchange]) -> None:
        """See engine.contract.Endpoint."""
        self._endpoint.under_way(found)

    def reset(self, exchange: Exchange) -> None:
        """See engine.contract.Endpoint."""
        self._endpoint.reset(exchange)

    def _unsent_octets(self) -> int:
        """In the queue, and those in the socket's buffer that the peer's window has no room for.

        The kernel tells it of TCP only. On a unix socket nothing waits on our side.
        """
        held = _NOTHING
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):  # no TCP, or it has gone
                held = fcntl.ioctl(sock.fileno(), _SIOCOUTQNSD, held)
        return self.queued_bytes() + int.from_bytes(held, sys.byteorder)

    def _patience_s(self) -> float:
        """How long a finished connection may stand still: as a reader, then to linger."""
        if self._unsent:
            return self._owner.limits.write_timeout_s or NEVER
        return LINGER_S


def _peer(transport: asyncio.Transport) -> Peer:
    """The two ends, as the socket names them."""
    return peer_of_names(transport.get_extra_info("sockname"), transport.get_extra_info("peername"))


def peer_of_names(name: Any, other: Any) -> Peer:
    """The two ends, from what getsockname and getpeername say."""
    if isinstance(name, (str, bytes)):
        path = os.fsdecode(name)
        path = "@" + path[1:] if path.startswith("\0") else path.removesuffix("~")
        return Peer(None, (path, None))
    client = (other[0], other[1]) if other else None
    return Peer(client, (name[0], name[1]))


def tune(sock: socket.socket) -> None:
    """Options of an accepted socket: small answers must not wait for an ACK (Nagle)."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
