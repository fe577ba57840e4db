"""The end of a worker: no new connections, the last exchanges, an empty room.

Idle keep-alive connections are not closed under a request that may be on its way: each of them
answers its next request with `Connection: close`, or goes when its idle time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import Leave
from granian_d.observe.scoreboard import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Row
    from granian_d.transport.accept import Acceptor
    from granian_d.transport.contract import Connections

# Kept back of the budget for the application's own shut-down, before the master's SIGKILL.
SHUTDOWN_SHARE: Final = 0.1
SHUTDOWN_MOST_S: Final = 3.0
# The part of the budget over which WebSockets are ended; the rest is for their peers to close, too.
SPREAD_SHARE: Final = 0.7


class Drain:
    """Empties a worker; may be ordered again with other terms, the last order counts."""

    __slots__ = (
        "_acceptor",
        "_connections",
        "_cut_at",
        "_log",
        "_loop",
        "_row",
        "_timer",
        "begun",
        "empty",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        acceptor: Acceptor,
        connections: Connections,
        row: Row,
        log: Log,
    ) -> None:
        self._loop = loop
        self._acceptor = acceptor
        self._connections = connections
        self._row = row
        self._log = log
        self._timer: asyncio.TimerHandle | None = None
        self._cut_at = 0.0
        self.begun = False
        self.empty = asyncio.Event()

    def order(self, budget_s: float, idle_s: float, *, restarting: bool) -> None:
        """Begin, or go on with a new budget.

        Args:
            budget_s: from now to the end of this process.
            idle_s: how long an idle connection may wait for its next request.
            restarting: another worker takes over.
        """
        if self._timer is not None:
            self._timer.cancel()
        kept_s = min(budget_s * SHUTDOWN_SHARE, SHUTDOWN_MOST_S)
        self._timer = self._loop.call_later(budget_s - kept_s, self._cut)
        self._cut_at = self._loop.time() + budget_s - kept_s
        self.begun = True
        self._acceptor.close()
        spread_s = (budget_s - kept_s) * SPREAD_SHARE
        self._connections.drain(Leave(idle_s, spread_s, restarting))
        self.look()

    def look(self) -> None:
        """Is the worker empty? To be asked whenever a connection is lost."""
        if self.begun and not self._connections.open and not self._acceptor.starting:
            self.empty.set()

    async def within_budget(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but not beyond the budget."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(work, self._cut_at - self._loop.time())

    def _cut(self) -> None:
        """The budget is spent."""
        count, active = len(self._connections.open), self._row[ACTIVE]
        if count:
            self._log.event("drain_cut", connections=count, requests=active)
        for connection in list(self._connections.open):
            connection.abort()
        self.empty.set()
