"""Shared memory in which every worker counts, so that the master can read without asking.

One mapping of a file in memory, made by the master before the first fork: a head, then `ROWS` rows
of `WORDS` unsigned 64-bit words. A row belongs to one worker process at a time; only that worker
writes it, aligned words at a time, so no lock is needed. What a worker that left has counted is
added to the totals in the head, which only the master writes. Pages that no worker uses are never
touched, so they cost nothing.

The file outlives the master where somebody keeps its descriptor; `layout` tells whether another
release would understand it.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Final, Literal, get_args

from granian_d.plan.model import MOST_DRAINING, MOST_WORKERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

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
    "busy_ns",  # processor time of the process, as of the last beat
    "lag_ns",  # how late the last beat came
    "oldest_ns",  # CLOCK_MONOTONIC at the begin of the oldest request under way; 0: none
    "last_ns",  # CLOCK_MONOTONIC at the begin of the last request; 0: none yet
)
# These mean nothing once a worker left.
GAUGES: Final = frozenset({"beat_ns", "connections", "active", "lag_ns", "oldest_ns", "last_ns"})
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
    BUSY_NS,
    LAG_NS,
    OLDEST_NS,
    LAST_NS,
) = range(len(COLUMNS))

# The histogram of latencies stands behind the columns. Bucket n counts exchanges that took less
# than 2**n times 16.384 us (2**14 ns), and not less than half of it; the last one all that took
# longer, which begins at 68 s.
BUCKETS: Final = 23
BUCKET_SHIFT: Final = 14

# Behind the histogram: method and path of the last request that began, in UTF-8, cut to fit and
# filled with zeros. No query: secrets travel in those.
TEXT: Final = len(COLUMNS) + BUCKETS
TEXT_WORDS: Final = 27

WORDS: Final = 64  # 512 bytes: whole cache lines, so that neighbours do not share one
# Every worker has one: of the generation that serves, of the next one, and of those that drain.
ROWS: Final = MOST_WORKERS * (2 + MOST_DRAINING)

Health = Literal["well", "degraded", "leaving"]
HEALTHS: Final[tuple[Health, ...]] = get_args(Health)

# The head: what it is, how the service is (an index of HEALTHS), how many rows were ever taken (to
# look at others would cost memory), and the totals.
_LAYOUT, _HEALTH, _USED, _TOTALS = range(4)
LAYOUT: Final = int.from_bytes(
    repr((COLUMNS, BUCKETS, BUCKET_SHIFT, TEXT_WORDS, WORDS)).encode(), "big"
) % ((1 << 61) - 1)

_COUNTERS: Final = tuple(
    word for word in range(TEXT) if word >= len(COLUMNS) or COLUMNS[word] not in GAUGES
)

Row = memoryview  # of WORDS unsigned 64-bit words


class Scoreboard:
    """The mapping, and which rows are taken (that part is the master's own).

    Args:
        fd: of the file, where it is there already; it becomes the scoreboard's own.
        taken: the rows in it that still have a worker; what is in others is added to the totals.

    Attributes:
        fd: of the file.

    Raises:
        ValueError: the file is not a scoreboard of this layout.
    """

    __slots__ = ("_free", "_words", "fd")

    def __init__(self, fd: int = -1, taken: Collection[int] = ()) -> None:
        size = (1 + ROWS) * WORDS * 8
        if fd == -1:
            fd = os.memfd_create("granian-d scoreboard", os.MFD_CLOEXEC)
            os.ftruncate(fd, size)
        elif os.fstat(fd).st_size != size:
            raise ValueError("another size")
        self.fd = fd
        self._words = memoryview(mmap.mmap(fd, size)).cast("Q")
        if self._words[_LAYOUT] not in (0, LAYOUT):
            raise ValueError("another layout")
        self._words[_LAYOUT] = LAYOUT
        self._free = [index for index in range(self._words[_USED]) if index not in taken]
        for index in self._free:
            self._fold(index)

    def take(self) -> int:
        """The index of a clean row for a new worker."""
        if self._free:
            return self._free.pop()
        index = self._words[_USED]
        if index == ROWS:
            raise OSError("no row of the scoreboard is left")
        self._words[_USED] = index + 1
        return index

    def release(self, index: int) -> None:
        """The worker of that row has gone: keep what it counted."""
        self._fold(index)
        self._free.append(index)

    def row(self, index: int) -> Row:
        """The words of one row, writable."""
        return self._words[(1 + index) * WORDS : (2 + index) * WORDS]

    def beat_s(self, index: int) -> float:
        """Last heartbeat of a row's worker, on the scale of time.monotonic(); 0.0 if none."""
        return float(self.row(index)[BEAT_NS]) / 1e9

    def last_request(self, index: int) -> str:
        """Method and path of the last request that a row's worker has begun; "" for none."""
        text = self.row(index)[TEXT : TEXT + TEXT_WORDS].tobytes()
        return text.rstrip(b"\0").decode("utf-8", "replace")

    @property
    def health(self) -> Row:
        """One word: which of HEALTHS the service is."""
        return self._words[_HEALTH : _HEALTH + 1]

    def latencies(self, taken: Iterable[int]) -> list[int]:
        """The histogram over the rows `taken` and over all workers that have left."""
        rows = list(taken)
        return [self.total(len(COLUMNS) + bucket, rows) for bucket in range(BUCKETS)]

    def total(self, column: int, taken: Iterable[int]) -> int:
        """Sum of a column over the rows `taken` and over all workers that have left."""
        left = self._words[_TOTALS + column]
        return left + sum(self._words[(1 + index) * WORDS + column] for index in taken)

    def _fold(self, index: int) -> None:
        """Add what is in a row to the totals, and clean it."""
        row = self.row(index)
        if not any(row):
            return
        for word in _COUNTERS:
            self._words[_TOTALS + word] += row[word]
        for word in range(WORDS):
            row[word] = 0
