"""Requests that the application does not begin to answer: told once, and given up where that goes.

The time runs from the end of a request's head to the beginning of its answer, an upload included.
What has begun has no such limit: a stream or a download takes as long as it takes, and a peer that
does not read is `write_timeout`'s. Nor has a conversation.

A task is cancelled and its peer is answered 504. A thread cannot be cancelled: it goes on, and so
does the request; the master replaces the worker when the hard limit is over.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from granian_d.errors import Disconnected
from granian_d.http import states
from granian_d.observe.scoreboard import ACTIVE
from granian_d.worker.held import awaited, client_of, request_line

if TYPE_CHECKING:
    import asyncio

    from granian_d.http.exchange import Exchange
    from granian_d.interface.contract import Interface
    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Row
    from granian_d.transport.contract import Connections

# How often is looked: often enough that a request is at most a quarter of its limit late, seldom
# enough to cost nothing.
LOOK_SHARE: Final = 0.25
LOOK_MOST_S: Final = 1.0

_TIMEOUT: Final = 504  # RFC 9110 15.6.5: what stands behind us did not answer in time
_FIELDS: Final = [(b"content-type", b"text/plain; charset=utf-8")]
_BODY: Final = b"Gateway Timeout"


class Overdue:
    """Looks for them, from `start` to `stop`.

    Args:
        loop: the worker's.
        limit_s: of a request.
        connections: where the requests are.
        interface: knows what the application is at.
        row: the worker's: while nothing is under way nobody is asked.
        log: where they are told.
    """

    __slots__ = (
        "_connections",
        "_interface",
        "_limit_ns",
        "_log",
        "_look_s",
        "_loop",
        "_row",
        "_timer",
        "_told",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float,
        connections: Connections,
        interface: Interface,
        row: Row,
        log: Log,
    ) -> None:
        self._loop = loop
        self._limit_ns = int(limit_s * 1e9)
        self._look_s = min(limit_s * LOOK_SHARE, LOOK_MOST_S)
        self._connections = connections
        self._interface = interface
        self._row = row
        self._log = log
        # By identity and begin, so that a new one in the same place is another; not held.
        self._told: set[tuple[int, int]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        self._timer = self._loop.call_later(self._look_s, self._look_on)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Look once."""
        now_ns = monotonic_ns()
        overdue = {
            (id(exchange), exchange.started_ns): exchange
            for exchange in awaited(self._connections.under_way() if self._row[ACTIVE] else ())
            if now_ns - exchange.started_ns >= self._limit_ns
        }
        new = [exchange for key, exchange in overdue.items() if key not in self._told]
        self._told = set(overdue)
        for exchange in new:
            self._give_up(exchange, (now_ns - exchange.started_ns) / 1e9)

    def _look_on(self) -> None:
        self.start()
        self.look()

    def _give_up(self, exchange: Exchange, age_s: float) -> None:
        if exchange.state != states.AWAITED:
            return  # an earlier one's end has made the application go on
        stack = self._interface.stack(exchange)
        cancelled = self._interface.cancel(exchange)
        self._log.event(
            "request_overdue",
            request=request_line(exchange),
            client=client_of(exchange),
            age_s=age_s,
            outcome="its task is cancelled" if cancelled else "it goes on",
            traceback=stack or "No code of the application is at work on it",
        )
        if cancelled:
            _answer(exchange)


def _answer(exchange: Exchange) -> None:
    """Tell the peer; the application that goes on meanwhile finds the exchange over."""
    try:
        exchange.start(_TIMEOUT, _FIELDS)
        exchange.send(_BODY, True)
    except Disconnected:
        exchange.abort()
