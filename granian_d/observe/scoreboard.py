"""Shared memory in which every worker counts, so that the master can read without asking.

One anonymous mapping, made by the master before the first fork: `ROWS` rows of `WORDS` unsigned
64-bit words. A row belongs to one worker process at a time; only that worker writes it, aligned
words at a time, so no lock is needed. A row that its worker has left is folded into the totals
and given out again. Pages that no worker uses are never touched, so they cost nothing.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMNS: Final = (
    "beat_ns",  # CLOCK_MONOTONIC of the loop's last heartbeat; 0: none yet
    "connections",  # open now
    "accepted",  # connections taken, ever
    "active",  # exchanges begun and not finished
    "requests",  # exchanges finished, ever
    "crashed",  # exchanges in which the application failed
    "refused",  # requests and connections that the engine answered or cut itself
    "sent_bytes",  # of response bodies
    "latency_ns",  # of all exchanges finished, from the end of the request's head, in sum
    "calmed",  # connections ended because the peer kept us busy with nothing (RFC 9113 10.5)
)
GAUGES: Final = frozenset({"beat_ns", "connections", "active"})  # mean nothing once a worker left
(
    BEAT_NS,
    CONNECTIONS,
    ACCEPTED,
    ACTIVE,
    REQUESTS,
    CRASHED,
    REFUSED,
    SENT_BYTES,
    LATENCY_NS,
    CALMED,
) = range(len(COLUMNS))

# The histogram of latencies stands behind the columns. Bucket n counts exchanges that took less
# than 2**n times 16.384 us (2**14 ns), and not less than half of it; the last one all that took
# longer, which begins at 68 s.
BUCKETS: Final = 23
BUCKET_SHIFT: Final = 14

WORDS: Final = 40  # 320 bytes: whole cache lines, so that neighbours do not share one
ROWS: Final = 2048  # 512 workers, as many of the next generation, as many still draining, and room

_GAUGES: Final = frozenset(COLUMNS.index(name) for name in GAUGES)

Row = memoryview  # of WORDS unsigned 64-bit words


class Scoreboard:
    """The mapping, and which rows are taken (that part is the master's own)."""

    __slots__ = ("_free", "_left", "_words")

    def __init__(self) -> None:
        memory = mmap.mmap(-1, ROWS * WORDS * 8)
        self._words = memoryview(memory).cast("Q")
        self._free = list(range(ROWS - 1, -1, -1))
        self._left = [0] * WORDS

    def take(self) -> int:
        """The index of a clean row for a new worker."""
        index = self._free.pop()
        row = self.row(index)
        for word in range(WORDS):
            row[word] = 0
        return index

    def release(self, index: int) -> None:
        """The worker of that row has gone: keep what it counted."""
        row = self.row(index)
        for word in range(len(COLUMNS) + BUCKETS):
            if word not in _GAUGES:
                self._left[word] += row[word]
        self._free.append(index)

    def row(self, index: int) -> Row:
        """The words of one row, writable."""
        return self._words[index * WORDS : (index + 1) * WORDS]

    def beat_s(self, index: int) -> float:
        """Last heartbeat of a row's worker, on the scale of time.monotonic(); 0.0 if none."""
        return float(self._words[index * WORDS + BEAT_NS]) / 1e9

    def latencies(self, taken: Iterable[int]) -> list[int]:
        """The histogram over the rows `taken` and over all workers that have left."""
        rows = list(taken)
        return [self.total(len(COLUMNS) + bucket, rows) for bucket in range(BUCKETS)]

    def total(self, column: int, taken: Iterable[int]) -> int:
        """Sum of a column over the rows `taken` and over all workers that have left."""
        return self._left[column] + sum(self._words[index * WORDS + column] for index in taken)
