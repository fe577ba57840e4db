"""What the worker knows of its connections, whoever moves their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Collection

    from granian_d.engine.contract import EndpointMaker, Leave


class Door(NamedTuple):
    """A listener, and how connections from it begin.

    Attributes:
        listener: listening, non-blocking.
        maker: of the first endpoint of a connection.
    """

    listener: socket.socket
    maker: EndpointMaker


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
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, maker: EndpointMaker
    ) -> asyncio.Task[Any] | None:
        """Make a connection of an accepted socket; the task that does it, if it takes one."""

    def drain(self, leave: Leave) -> None:
        """Drain those that are open, and those still to come out of the accept queue."""
