"""The sign of life: the loop writes into its scoreboard row once a second.

It runs on the loop itself, so a loop that does not turn does not beat. With it goes what tells how
the worker fares: processor time, how late the beat came, the oldest request that waits.
"""

from __future__ import annotations

from time import monotonic_ns, process_time_ns
from typing import TYPE_CHECKING, Final

from granian_d.observe.scoreboard import ACTIVE, BEAT_NS, BUSY_NS, LAG_NS, OLDEST_NS
from granian_d.worker.held import oldest_ns

if TYPE_CHECKING:
    import asyncio

    from granian_d.observe.scoreboard import Row
    from granian_d.transport.contract import Connections

BEAT_S: Final = 1.0


def beat(row: Row) -> None:
    """Beat once, from any thread."""
    row[BEAT_NS] = monotonic_ns()


def start(loop: asyncio.AbstractEventLoop, row: Row, connections: Connections) -> None:
    """Beat from now until the loop ends."""

    def beat_on(due_ns: int) -> None:
        now_ns = monotonic_ns()
        row[BEAT_NS] = now_ns
        row[LAG_NS] = max(now_ns - due_ns, 0)
        row[BUSY_NS] = process_time_ns()
        row[OLDEST_NS] = oldest_ns(connections.under_way()) if row[ACTIVE] else 0
        loop.call_later(BEAT_S, beat_on, now_ns + int(BEAT_S * 1e9))

    beat_on(monotonic_ns())
