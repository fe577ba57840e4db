"""The end of a worker: no new connections, the last exchanges, an empty room.

Idle keep-alive connections are not closed under a request that may be on its way: each of them
answers its next request with `Connection: close`, or goes when its idle time is over.

Two budgets: one for requests that are not being answered yet and for connections without any, one
for answers that have begun and for conversations. Each cut says what it has cut. On HTTP/2 a
connection lives as long as one of its streams may; the others are reset alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import Leave
from granian_d.http import states
from granian_d.worker.held import describe_all, has_begun

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from granian_d.control.channel import Drain as Order
    from granian_d.http.exchange import Exchange
    from granian_d.interface.contract import Interface
    from granian_d.observe.log import Log
    from granian_d.transport.accept import Acceptor
    from granian_d.transport.contract import Connection, Connections

# Kept back of the longer budget for the application's own shut-down, before the master's SIGKILL.
SHUTDOWN_SHARE: Final = 0.1
SHUTDOWN_MOST_S: Final = 3.0
# The part of their budget over which WebSockets are ended; the rest is for their peers to close,
# too.
SPREAD_SHARE: Final = 0.7

_EVERYTHING: Final = frozenset((False, True))  # whether an answer has begun: both


class Drain:
    """Empties a worker; may be ordered again with other terms, the last order counts.

    Attributes:
        begun: it was ordered.
        empty: nothing is left, or what was left has been cut.
    """

    __slots__ = (
        "_acceptor",
        "_connections",
        "_cut_at",
        "_interface",
        "_log",
        "_loop",
        "_spent",
        "_timers",
        "begun",
        "empty",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        acceptor: Acceptor,
        connections: Connections,
        interface: Interface,
        log: Log,
    ) -> None:
        self._loop = loop
        self._acceptor = acceptor
        self._connections = connections
        self._interface = interface
        self._log = log
        self._timers: list[asyncio.TimerHandle] = []
        self._cut_at = 0.0
        self._spent = False  # both budgets
        self.begun = False
        self.empty = asyncio.Event()

    def order(self, order: Order, idle_s: float) -> None:
        """Begin, or go on with new terms.

        Args:
            order: the terms; its budgets are from now to the end of this process.
            idle_s: how long an idle connection may wait for its next request.
        """
        for timer in self._timers:
            timer.cancel()
        longest_s = max(order.budget_s, order.stream_s)
        last_s = longest_s - min(longest_s * SHUTDOWN_SHARE, SHUTDOWN_MOST_S)
        waiting_s, begun_s = min(order.budget_s, last_s), min(order.stream_s, last_s)
        self._timers = [self._loop.call_later(last_s, self._cut_last)]
        if waiting_s != begun_s:
            first = frozenset((begun_s < waiting_s,))
            self._timers.append(self._loop.call_later(min(waiting_s, begun_s), self._cut, first))
        self._cut_at = self._loop.time() + last_s
        if not self.begun:
            self._interface.leave()
        self.begun = True
        self._acceptor.close()
        self._connections.drain(Leave(idle_s, begun_s * SPREAD_SHARE, order.restarting))
        self.look()

    def look(self) -> None:
        """Is the worker empty? To be asked whenever a connection is lost."""
        if self.begun and not self._connections.open and not self._acceptor.starting:
            self.empty.set()

    async def until_empty(self, sweep: Callable[[], bool]) -> None:
        """Return when nothing is left.

        Args:
            sweep: looks once more for who has come in vain; whether there is a connection now.
        """
        await self.empty.wait()
        while sweep() and not self._spent:
            self.empty.clear()
            await self.empty.wait()

    async def within_budget(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but not beyond the budget."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(work, self._cut_at - self._loop.time())

    def _cut_last(self) -> None:
        """Both budgets are spent."""
        self._spent = True
        self._cut(_EVERYTHING)
        self.empty.set()

    def _cut(self, kinds: frozenset[bool]) -> None:
        """A budget is spent.

        Args:
            kinds: what it was for: answers that have begun (True), everything else (False).
        """
        doomed = [(each, _spent(each, kinds)) for each in self._connections.open]
        cuts = [
            (connection, exchanges) for connection, exchanges in doomed if exchanges is not None
        ]
        if not cuts:
            return
        cut = [exchange for _, exchanges in cuts for exchange in exchanges]
        self._log.event(
            "drain_cut",
            connections=len(cuts),
            requests=len(cut),
            held=describe_all(cut, monotonic_ns()) or "none",
        )
        for connection, exchanges in cuts:
            _end(connection, exchanges)
        for exchange in cut:
            if exchange.state == states.ABORTED or exchange.head.protocol:
                self._interface.cancel(exchange)  # or the end would wait for what nobody gets


def _spent(connection: Connection, kinds: frozenset[bool]) -> list[Exchange] | None:
    """The exchanges of a connection that are of these kinds; None if it has nothing of them."""
    held: list[Exchange] = []
    connection.under_way(held)
    if held:
        return [exchange for exchange in held if has_begun(exchange) in kinds] or None
    is_sending = connection.queued_bytes() > 0  # an answer that its peer has not read yet
    return held if is_sending in kinds else None


def _end(connection: Connection, exchanges: list[Exchange]) -> None:
    """Cut them, and the connection if nothing is left for it."""
    if not exchanges and not connection.queued_bytes():
        connection.finish()  # a reset would take back what the kernel has of the last answer
        return
    for exchange in exchanges:
        connection.reset(exchange)
    left: list[Exchange] = []
    connection.under_way(left)
    if not left:
        connection.abort()
