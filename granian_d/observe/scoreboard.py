"""Shared memory in which every worker counts, so that the master can read without asking.

One mapping of a file in memory, made by the master before the first fork, in rows of `WORDS`
unsigned 64-bit words:

    the head: what it is, and what the master has counted and shows of the service (FACTS)
    the totals: what all workers that have left had counted
    for each slot: what those that have left it had counted
    `ROWS` rows of workers

A row belongs to one worker process at a time. The master writes whose it is; all else is written
by that worker alone, aligned words at a time, so no lock is needed. What a worker that left has
counted is added to the totals and to its slot's, which only the master writes. Pages that nobody
uses are never touched, so they cost nothing.

The file outlives the master where somebody keeps its descriptor; `layout` tells whether another
release would understand it.
"""

from __future__ import annotations

import mmap
import os
from time import monotonic, monotonic_ns
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
    "received_bytes",  # of request bodies
    "answers_0xx",  # exchanges finished, by the first digit of the status: cut before there was one
    "answers_1xx",  # a conversation on HTTP/1.1 (101)
    "answers_2xx",
    "answers_3xx",
    "answers_4xx",
    "answers_5xx",
    "answers_6xx",  # and above
    "conversations",  # WebSockets that are open, or asked for and not refused yet
    "conversed",  # WebSockets that are over, or were refused
    "connections_failed",  # connections that were not had: accept(2) failed, or the TLS handshake
    "static",  # requests answered from files
    "static_errors",  # of those, with 4xx or 5xx
    "blocking_threads",  # that the pool for WSGI has; the next four are its, in this order
    "blocking_queue",  # calls that wait for one of them
    "blocking_idle_ns",  # of all of them in sum: waiting for a call
    "blocking_busy_ns",  # in a call
    "blocking_wait_ns",  # of all calls in sum: from being given to the pool to their begin
    "slot",  # whose row it is, written by the master; 0: nobody's
    "generation",
    "pid",  # 0: not born yet
    "started_ns",  # CLOCK_MONOTONIC
)
# These mean nothing once a worker left.
GAUGES: Final = frozenset(
    {
        *("beat_ns", "connections", "active", "lag_ns", "oldest_ns", "last_ns"),
        *("conversations", "blocking_threads", "blocking_queue"),
        *("slot", "generation", "pid", "started_ns"),
    }
)
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
    RECEIVED_BYTES,
    ANSWERS_0XX,
    ANSWERS_1XX,
    ANSWERS_2XX,
    ANSWERS_3XX,
    ANSWERS_4XX,
    ANSWERS_5XX,
    ANSWERS_6XX,
    CONVERSATIONS,
    CONVERSED,
    CONNECTIONS_FAILED,
    STATIC,
    STATIC_ERRORS,
    BLOCKING_THREADS,
    BLOCKING_QUEUE,
    BLOCKING_IDLE_NS,
    BLOCKING_BUSY_NS,
    BLOCKING_WAIT_NS,
    SLOT,
    GENERATION,
    PID,
    STARTED_NS,
) = range(len(COLUMNS))

BLOCKING: Final = slice(BLOCKING_THREADS, BLOCKING_WAIT_NS + 1)  # what the pool for WSGI writes

# The histogram of latencies stands behind the columns. Bucket n counts exchanges that took less
# than 2**n times 16.384 us (2**14 ns), and not less than half of it; the last one all that took
# longer, which begins at 34 s.
BUCKETS: Final = 23
BUCKET_SHIFT: Final = 14

# Behind the histogram: method and path of the last request that began, in UTF-8, cut to fit and
# filled with zeros. No query: secrets travel in those.
TEXT: Final = len(COLUMNS) + BUCKETS
TEXT_WORDS: Final = 27

WORDS: Final = 96  # 768 bytes: whole cache lines, so that neighbours do not share one
# Every worker has one: of the generation that serves, of the next one, and of those that drain.
ROWS: Final = MOST_WORKERS * (2 + MOST_DRAINING)

Health = Literal["well", "degraded", "leaving"]
HEALTHS: Final[tuple[Health, ...]] = get_args(Health)

# The head. To look at rows that nobody ever took would cost memory, so it says how many there are,
# and of slots. How often one was folded is odd while it happens: who copies then has half of it.
_LAYOUT, _HEALTH, _USED, _SLOTS, _FOLDS, _FACTS = range(6)

# What the master shows of the service, and has counted since the scoreboard was made.
FACTS: Final = (
    "begun_ns",  # time.time_ns() at the start of the master; an upgrade in place is none
    "committed",  # the generation that serves
    "wanted",  # workers of it
    "serving",
    "queued",  # connections that nobody had taken, at the last tick
    "reload_failing",  # the last reload or upgrade failed
    "spawned",  # workers
    "ended_error",  # workers that ended by themselves
    "ended_start",  # that could not start, or not in time
    "ended_stall",  # whose loop stood still
    "ended_request",  # with a request that did not end
    "ended_drain",  # killed: more was under way than the budget of their drain had time for
    "due_requests",  # replaced with nothing wrong: for their requests
    "due_lifetime",
    "due_rss",
    "due_pss",
    "due_refork",  # by workers of a warmer mold, or to become it
    "reloads_ok",
    "reloads_failed",
    "reloads_superseded",
    "upgrades_ok",
    "upgrades_failed",
    "renewals_ok",  # of certificates
    "renewals_failed",
)
(
    BEGUN_NS,
    COMMITTED,
    WANTED,
    SERVING,
    QUEUED,
    RELOAD_FAILING,
    SPAWNED,
    ENDED_ERROR,
    ENDED_START,
    ENDED_STALL,
    ENDED_REQUEST,
    ENDED_DRAIN,
    DUE_REQUESTS,
    DUE_LIFETIME,
    DUE_RSS,
    DUE_PSS,
    DUE_REFORK,
    RELOADS_OK,
    RELOADS_FAILED,
    RELOADS_SUPERSEDED,
    UPGRADES_OK,
    UPGRADES_FAILED,
    RENEWALS_OK,
    RENEWALS_FAILED,
) = range(len(FACTS))

_TOTALS: Final = WORDS  # where they begin; slot 1 is behind them
_WORKERS: Final = (2 + MOST_WORKERS) * WORDS  # where their rows begin
LAYOUT: Final = int.from_bytes(
    repr((COLUMNS, FACTS, BUCKETS, BUCKET_SHIFT, TEXT_WORDS, WORDS)).encode(), "big"
) % ((1 << 61) - 1)

_COUNTERS: Final = tuple(
    word for word in range(TEXT) if word >= len(COLUMNS) or COLUMNS[word] not in GAUGES
)

PATIENCE_S: Final = 0.5  # of who copies; to fold a row takes some 20 us

Row = memoryview  # of WORDS unsigned 64-bit words


class Scoreboard:
    """The mapping, and which rows are taken (that part is the master's own).

    Args:
        fd: of the file, where it is there already; it becomes the scoreboard's own.
        taken: the rows in it that still have a worker; what is in others is added to the totals.

    Attributes:
        fd: of the file.
        facts: words of FACTS.
        health: one word: which of HEALTHS the service is.

    Raises:
        ValueError: the file is not a scoreboard of this layout.
    """

    __slots__ = ("_free", "_words", "facts", "fd", "health")

    def __init__(self, fd: int = -1, taken: Collection[int] = ()) -> None:
        size = (_WORKERS + ROWS * WORDS) * 8
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
        self.health = self._words[_HEALTH : _HEALTH + 1]
        self.facts = self._words[_FACTS : _FACTS + len(FACTS)]
        self._words[_FOLDS] += self._words[_FOLDS] % 2  # a master was killed while it folded
        self._free = [index for index in range(self._words[_USED]) if index not in taken]
        for index in self._free:
            self._fold(index)

    def take(self, slot: int = 0, generation: int = 0) -> int:
        """The index of a clean row for a new worker.

        Args:
            slot: of the worker; 0 has what it counts added to nobody's but the totals.
            generation: of the worker.
        """
        if self._free:
            index = self._free.pop()
        else:
            index = self._words[_USED]
            if index == ROWS:
                raise OSError("no row of the scoreboard is left")
            self._words[_USED] = index + 1
        if slot:
            self._words[_SLOTS] = max(self._words[_SLOTS], slot)
            row = self.row(index)
            row[SLOT], row[GENERATION], row[STARTED_NS] = slot, generation, monotonic_ns()
        return index

    def release(self, index: int) -> None:
        """The worker of that row has gone: keep what it counted."""
        self._fold(index)
        self._free.append(index)

    def row(self, index: int) -> Row:
        """The words of one row, writable."""
        at = _WORKERS + index * WORDS
        return self._words[at : at + WORDS]

    def beat_s(self, index: int) -> float:
        """Last heartbeat of a row's worker, on the scale of time.monotonic(); 0.0 if none."""
        return float(self.row(index)[BEAT_NS]) / 1e9

    def last_request(self, index: int) -> str:
        """Method and path of the last request that a row's worker has begun; "" for none."""
        text = self.row(index)[TEXT : TEXT + TEXT_WORDS].tobytes()
        return text.rstrip(b"\0").decode("utf-8", "replace")

    def latencies(self, taken: Iterable[int]) -> list[int]:
        """The histogram over the rows `taken` and over all workers that have left."""
        rows = list(taken)
        return [self.total(len(COLUMNS) + bucket, rows) for bucket in range(BUCKETS)]

    def total(self, column: int, taken: Iterable[int]) -> int:
        """Sum of a column over the rows `taken` and over all workers that have left."""
        left = self._words[_TOTALS + column]
        return left + sum(self._words[_WORKERS + index * WORDS + column] for index in taken)

    def copy(self) -> Copy | None:
        """All of it as it is now, from any process: no worker is counted twice or not at all.

        None where that cannot be had: the master was stopped while it folded a row.
        """
        until = monotonic() + PATIENCE_S
        while True:
            before = self._words[_FOLDS]
            rows = self._words[_WORKERS : _WORKERS + self._words[_USED] * WORDS].tobytes()
            left = self._words[: _TOTALS + (1 + self._words[_SLOTS]) * WORDS].tobytes()
            if before % 2 == 0 and before == self._words[_FOLDS]:
                return Copy(memoryview(left).cast("Q"), memoryview(rows).cast("Q"))
            if monotonic() > until:
                return None
            os.sched_yield()  # the master may wait for this very processor

    def _fold(self, index: int) -> None:
        """Add what is in a row to the totals and to its slot's, and clean it."""
        row = self.row(index)
        if not any(row):
            return
        slot = row[SLOT] if row[SLOT] <= self._words[_SLOTS] else 0  # an application can write here
        kept = {_TOTALS, _TOTALS + slot * WORDS}  # one for slot 0
        self._words[_FOLDS] += 1
        for word in _COUNTERS:
            for at in kept:
                self._words[at + word] += row[word]
        for word in range(WORDS):
            row[word] = 0
        self._words[_FOLDS] += 1


class Copy:
    """What was on a scoreboard at one moment.

    Args:
        left: the head, the totals and those of slots.
        rows: of workers.

    Attributes:
        facts: words of FACTS.
        health: an index of HEALTHS.
        workers: rows of those that there are, by slot; two share one while the one relieves the
            other.
    """

    __slots__ = ("_left", "facts", "health", "workers")

    def __init__(self, left: Row, rows: Row) -> None:
        self._left = left[_TOTALS:]
        self.facts = left[_FACTS : _FACTS + len(FACTS)]
        self.health = left[_HEALTH]
        workers: dict[int, list[Row]] = {}
        for at in range(0, len(rows), WORDS):
            if 0 < rows[at + SLOT] < len(self._left) // WORDS:
                workers.setdefault(rows[at + SLOT], []).append(rows[at : at + WORDS])
        self.workers = dict(sorted(workers.items()))

    def of_slot(self, slot: int, column: int) -> int:
        """Sum of a column over the workers that are, or were, in a slot."""
        return self._left[slot * WORDS + column] + sum(row[column] for row in self.workers[slot])

    def total(self, column: int) -> int:
        """Sum of a column over all workers that there are or were."""
        living = sum(row[column] for rows in self.workers.values() for row in rows)
        return self._left[column] + living
