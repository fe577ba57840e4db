"""What the worker knows of its connections, whoever moves their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Collection

    from granian_d.engine.contract import Clock, Endpoint, Service, Wire
    from granian_d.http.message import Peer
    from granian_d.plan import Limits

    EndpointMaker = Callable[[Wire, Peer, Service, Limits, Clock], Endpoint]


class Connection(Protocol):
    """One connection."""

    def abort(self) -> Any:
        """Close it at once, with a reset."""


class Connections(Protocol):
    """The open connections of a worker."""

    @property
    def open(self) -> Collection[Connection]:
        """Those that are open now."""

    def take(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[Any] | None:
        """Make a connection of an accepted socket; the task that does it, if it takes one."""

    def drain(self, idle_s: float) -> None:
        """Drain those that are open, and those still to come out of the accept queue."""
