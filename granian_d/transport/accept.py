"""Accepting from listeners that several processes share.

Each worker waits for the shared sockets itself and takes a few connections a turn. The loops' own
servers accept until the queue is empty: whoever wakes first takes a whole burst, and keeps it for
the life of those connections. See docs/adr on shared accept for the figures.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from granian_d.transport.tcp import tune

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from granian_d.engine.contract import EndpointMaker
    from granian_d.transport.contract import Connections, Door

BATCH: Final = 4  # taken a turn: a burst spreads over the workers, and few turns are spent on it
RETRY_S: Final = 0.1  # after an error that only time can mend (no descriptors, no memory)

# accept(2): the connection died in the queue, or a network error of it is passed on. Next, please.
_TRANSIENT: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EINTR,
        errno.ENETDOWN,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.EPERM,  # a firewall refused it
    }
)


class Acceptor:
    """Takes connections from the listeners while there is room for them.

    Args:
        doors: the listeners, and how connections from each begin.
        connections: where accepted connections go.
        room: most connections to hold at once; above it the queue keeps them for other workers.
        failed: is told why accepting is suspended for a moment.
    """

    __slots__ = (
        "_armed",
        "_connections",
        "_doors",
        "_failed",
        "_loop",
        "_open",
        "_room",
        "_starting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        doors: Sequence[Door],
        connections: Connections,
        room: int,
        failed: Callable[[OSError], None],
    ) -> None:
        self._loop = loop
        self._doors = tuple(doors)
        self._connections = connections
        self._room = room
        self._failed = failed
        self._armed = False
        self._open = False
        self._starting: set[asyncio.Task[Any]] = set()

    def arm(self) -> None:
        """Accept from now on."""
        self._armed = True
        if not self._open:
            self._open = True
            for door in self._doors:
                self._loop.add_reader(door.listener.fileno(), self._accept, door)

    def disarm(self) -> None:
        """Leave the queue to others; `arm` takes it up again."""
        if self._open:
            self._open = False
            for door in self._doors:
                self._loop.remove_reader(door.listener.fileno())

    def count_changed(self, count: int) -> None:
        """The number of open connections has changed: keep within the room.

        Before the first `arm` there may be connections of the worker's own.
        """
        if count + len(self._starting) >= self._room:
            self.disarm()
        elif self._doors and self._armed:
            self.arm()

    def close(self) -> None:
        """Accept what is in the queue, then never again.

        The sweep takes connections whose wake-up came to this worker only.
        """
        self.disarm()
        doors, self._doors = self._doors, ()
        for door in doors:
            while self._accept_one(door):
                pass
            door.listener.close()

    @property
    def starting(self) -> int:
        """Connections accepted and not yet made."""
        return len(self._starting)

    def _accept(self, door: Door) -> None:
        for _ in range(BATCH):
            if not self._open or not self._accept_one(door):
                return

    def _accept_one(self, door: Door) -> bool:
        """Take one connection; False when there is none to take now."""
        try:
            sock, _ = door.listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _TRANSIENT:
                return True
            self._suspend(error)
            return False
        sock.setblocking(False)
        tune(sock)
        self._start(sock, door.maker)
        return True

    def _start(self, sock: socket.socket, maker: EndpointMaker) -> None:
        making = self._connections.take(sock, self._loop, maker)
        if making is not None:
            self._starting.add(making)
            making.add_done_callback(self._started)
        if len(self._connections.open) + len(self._starting) >= self._room:
            self.disarm()

    def _started(self, task: asyncio.Task[Any]) -> None:
        self._starting.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OSError):
            self._failed(error)
        elif error is not None:
            raise error
        self.count_changed(len(self._connections.open))

    def _suspend(self, error: OSError) -> None:
        """Descriptors or memory are spent: the queue waits, or another worker takes it."""
        self._failed(error)
        self.disarm()
        self._loop.call_later(RETRY_S, self._resume)

    def _resume(self) -> None:
        if self._doors:
            self.count_changed(len(self._connections.open))
