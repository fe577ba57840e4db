"""The connections of a worker that are made of datagrams, beside those that have a socket each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    from granian_d.engine.contract import EndpointMaker, Leave
    from granian_d.engine.datagrams import LinkedConnection
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer
    from granian_d.transport.contract import Connection, Connections
    from granian_d.transport.deadlines import Deadlines


class Links:
    """The open ones.

    Args:
        deadlines: the worker's coarse timer.
        changed: is called whenever their number has changed.
        has_room: whether the worker may have one more.
        failed: is told of a handshake that came to nothing, and why.
    """

    __slots__ = ("_changed", "deadlines", "failed", "has_room", "open")

    def __init__(
        self,
        deadlines: Deadlines,
        changed: Callable[[], None],
        has_room: Callable[[], bool],
        failed: Callable[[Peer, str], None],
    ) -> None:
        self.deadlines = deadlines
        self.has_room = has_room
        self.failed = failed
        self.open: set[LinkedConnection] = set()
        self._changed = changed

    def add(self, connection: LinkedConnection) -> None:
        """One has begun."""
        self.open.add(connection)
        self.deadlines.add(connection)
        self._changed()

    def discard(self, connection: LinkedConnection) -> None:
        """One is no more."""
        self.open.discard(connection)
        self.deadlines.discard(connection)
        self._changed()


class _Both:
    """The members of two sets, as they are at the moment."""

    __slots__ = ("_links", "_streams")

    def __init__(self, streams: Connections, links: Links) -> None:
        self._streams = streams
        self._links = links

    def __len__(self) -> int:
        return len(self._streams.open) + len(self._links.open)

    def __iter__(self) -> Iterator[Connection]:
        yield from self._streams.open
        yield from self._links.open

    def __contains__(self, connection: object) -> bool:
        return connection in self._streams.open or connection in self._links.open


class Joined:
    """All connections of a worker; see transport.contract.Connections.

    Args:
        streams: those with a socket each.
        links: the others.
        drain: drains the links, and those still to come.
    """

    __slots__ = ("_drain", "_links", "_streams", "open")

    def __init__(self, streams: Connections, links: Links, drain: Callable[[Leave], None]) -> None:
        self.open: Collection[Connection] = _Both(streams, links)
        self._streams = streams
        self._links = links
        self._drain = drain

    def take(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, maker: EndpointMaker
    ) -> asyncio.Task[Any] | None:
        """Make a connection of an accepted socket; see transport.contract."""
        return self._streams.take(sock, loop, maker)

    def under_way(self) -> list[Exchange]:
        """The exchanges of all of them that have begun and are not over."""
        found = self._streams.under_way()
        for link in self._links.open:
            link.under_way(found)
        return found

    def drain(self, leave: Leave) -> None:
        """Drain those that are open, and those still to come."""
        self._streams.drain(leave)
        self._drain(leave)
