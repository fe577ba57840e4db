"""What the worker knows of its connections, whoever moves their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Collection

    from granian_d.engine.contract import EndpointMaker, Leave
    from granian_d.http.exchange import Exchange


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

    def finish(self) -> Any:
        """Close it in good order: what the kernel has of it still reaches the peer."""

    def under_way(self, found: list[Exchange]) -> None:
        """See engine.contract.Endpoint."""

    def reset(self, exchange: Exchange) -> None:
        """See engine.contract.Endpoint."""

    def queued_bytes(self) -> int:
        """Bytes of answers that the peer has not taken yet."""


class Connections(Protocol):
    """The open connections of a worker."""

    @property
    def open(self) -> Collection[Connection]:
        """Those that are open now."""

    def take(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, maker: EndpointMaker
    ) -> asyncio.Task[Any] | None:
        """Make a connection of an accepted socket; the task that does it, if it takes one."""

    def under_way(self) -> list[Exchange]:
        """The exchanges of all of them that have begun and are not over."""

    def drain(self, leave: Leave) -> None:
        """Drain those that are open, and those still to come out of the accept queue."""
