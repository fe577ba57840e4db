"""What became of every request: answered after how long, lost and why, or never begun."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.wire import Wire

LOSSES_TOLD = 2000  # of more than that the number is told, and not each one's story


class Ledger:
    """Counts of one process of clients.

    Attributes:
        answered: right answers, by kind of client. Of a WebSocket a message and its echo is one.
        lost: one record for each request that was lost.
        apart: what is neither, by name: streams that the server says it has not begun, messages
            that met a Close on their way, idle connections that were closed.
    """

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.apart: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.connections = 0
        self.lost_count = 0
        self.lost: list[dict[str, Any]] = []
        self.longest_s: Counter[str] = Counter()
        self.own_lag_s = 0.0
        self.under_way = 0

    def answer(self, kind: str, began: float) -> None:
        self.answered[kind] += 1
        self.longest_s[kind] = max(self.longest_s[kind], time.monotonic() - began)
        self.under_way -= 1

    def lose(self, kind: str, number: int, began: float, why: str, wire: Wire) -> None:
        self.under_way -= 1
        self.lost_count += 1
        if len(self.lost) < LOSSES_TOLD:
            self.lost.append(
                {
                    "kind": kind,
                    "number": number,
                    "why": why,
                    "address": wire.address,
                    "port": wire.port,
                    "pid": wire.pid,
                    "dialled": wire.since,
                    "began": began,
                    "lost": time.monotonic(),
                    "story": list(wire.story),
                }
            )

    def take_longest(self) -> dict[str, float]:
        """The longest waits since the last look, in seconds."""
        longest = {**self.longest_s, "the clients themselves": self.own_lag_s}
        self.longest_s.clear()
        self.own_lag_s = 0.0
        return longest

    def sums(self) -> dict[str, Any]:
        names = ("answered", "apart", "versions", "connections", "lost_count", "under_way")
        return {name: getattr(self, name) for name in names}
