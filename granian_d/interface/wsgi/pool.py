"""The threads that WSGI applications run on.

Rules of this file:
- Jobs are begun in the order in which they came.
- The thread that has been idle for the shortest time gets the next job: it is warm, and those
  that are not needed come of age and end.
- A job never waits while a thread is idle or another may be made.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


# The words in which it tells how it fares, where somebody looks: threads; jobs that wait for one;
# in nanoseconds and in sum: threads without a job, in one, and jobs from `submit` to their begin.
THREADS, QUEUE, IDLE_NS, BUSY_NS, WAIT_NS = range(5)
_UNSEEN: Final = 5


class Pool:
    """At most `most` threads, made on demand. Jobs are given by the loop's thread only.

    Args:
        most: how many threads there may be.
        idle_timeout_s: a thread without a job for that long ends.
        loop: whose thread gives the jobs.
        told: words in which it tells how it fares; what threads have done, when it is done.

    Attributes:
        pending: jobs that run or wait. Only the loop's thread adds to it, so where that finds 0
            without the lock, no job is under way.
    """

    __slots__ = (
        "_backlog",
        "_closing",
        "_idle",
        "_idle_timeout_s",
        "_lock",
        "_loop",
        "_made",
        "_most",
        "_on_quiet",
        "_threads",
        "_told",
        "pending",
    )

    def __init__(
        self,
        most: int,
        idle_timeout_s: float,
        loop: asyncio.AbstractEventLoop,
        told: memoryview | None = None,
    ) -> None:
        self._told: memoryview | list[int] = [0] * _UNSEEN if told is None else told
        self._most = most
        self._idle_timeout_s = idle_timeout_s
        self._loop = loop
        self._lock = threading.Lock()  # over everything below
        self._threads: set[_Thread] = set()
        self._idle: list[_Thread] = []
        self._backlog: deque[tuple[Callable[[], None], int]] = deque()  # and when it was given
        self._made = 0
        self._closing = False
        self.pending = 0
        self._on_quiet: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    def submit(self, job: Callable[[], None]) -> None:
        """Have `job` run in a thread. It must not raise."""
        with self._lock:
            self.pending += 1
            if self._idle:
                self._wake(job)
                return
            if len(self._threads) >= self._most:
                self._put_back(job)
                return
            self._made += 1
            thread = _Thread(self, job, f"wsgi-{self._made}")
            self._add(thread)
        self._start(thread, job)

    def _wake(self, job: Callable[[], None]) -> None:
        """Have an idle thread run a job; has the lock."""
        thread = self._idle.pop()
        thread.job = job
        now_ns = thread.given_ns = monotonic_ns()
        self._told[IDLE_NS] += now_ns - thread.idle_ns
        thread.wake.release()

    def _put_back(self, job: Callable[[], None]) -> None:
        """Have the next thread that is free run a job; has the lock."""
        self._backlog.append((job, monotonic_ns()))
        self._told[QUEUE] = len(self._backlog)

    def _add(self, thread: _Thread) -> None:
        self._threads.add(thread)
        self._told[THREADS] = len(self._threads)

    def _discard(self, thread: _Thread) -> None:
        self._threads.discard(thread)
        self._told[THREADS] = len(self._threads)

    def _start(self, thread: _Thread, job: Callable[[], None]) -> None:
        """Start a thread; where the system gives no more, its job waits for one that lives.

        Raises:
            RuntimeError: there is no thread at all, nor can there be one.
        """
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._discard(thread)
                if self._idle:
                    self._wake(job)
                elif self._threads:
                    self._put_back(job)
                else:
                    self.pending -= 1
                    raise

    def running(self) -> list[tuple[Any, int]]:
        """The jobs that run now, and the idents of their threads."""
        with self._lock:
            threads = [(thread.job, thread.ident) for thread in self._threads]
        return [(job, ident) for job, ident in threads if job is not None and ident is not None]

    async def settle(self) -> None:
        """Wait until no job runs or waits."""
        while self.pending:
            quiet = self._loop.create_future()
            self.when_quiet(partial(_resolve, quiet))
            await quiet

    def when_quiet(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, on the loop's thread, when no job runs or waits any more."""
        with self._lock:
            if self.pending:
                self._on_quiet.append(callback)
                return
        self._loop.call_soon(callback)

    async def close(self) -> None:
        """End the threads: idle ones now, the others after the jobs that are under way."""
        with self._lock:
            self._closing = True
            threads = list(self._threads)
            for thread in self._idle:
                thread.wake.release()
            self._idle.clear()
        await self.settle()
        for thread in threads:
            thread.join()

    # --- in the threads ----------------------------------------------------------------------

    def next_job(self, thread: _Thread, began_ns: int) -> Callable[[], None] | None:
        """One job of `thread` is done: wait for the next one; None when it is to end."""
        with self._lock:
            self.pending -= 1
            thread.idle_ns = monotonic_ns()
            self._told[WAIT_NS] += began_ns - thread.given_ns
            self._told[BUSY_NS] += thread.idle_ns - began_ns
            if self._backlog:
                job, thread.given_ns = self._backlog.popleft()
                self._told[QUEUE] = len(self._backlog)
                return job
            if not self.pending:
                self._tell_quiet()
            if self._closing:
                self._discard(thread)
                return None
            self._idle.append(thread)
        if not thread.wake.acquire(timeout=self._idle_timeout_s):
            with self._lock:
                if thread in self._idle:
                    self._idle.remove(thread)
                    self._discard(thread)
                    return None
            thread.wake.acquire()  # it was chosen just after its time was up
        if thread.job is None:
            with self._lock:
                self._discard(thread)
        return thread.job

    def _tell_quiet(self) -> None:
        callbacks, self._on_quiet = self._on_quiet, []
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            for callback in callbacks:
                self._loop.call_soon_threadsafe(callback)


class _Thread(threading.Thread):
    """One thread. A daemon: at the end of its patience the worker leaves a stuck one behind."""

    def __init__(self, pool: Pool, job: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._pool = pool
        self.job: Callable[[], None] | None = job
        self.given_ns = monotonic_ns()  # its job, to the pool
        self.idle_ns = 0  # it has been without one since then
        self.wake = threading.Lock()
        self.wake.acquire()  # released by whoever has something for this thread

    def run(self) -> None:
        """Do one job after the other."""
        job = self.job
        while job is not None:
            began_ns = monotonic_ns()
            job()
            # An idle thread must not hold on to its last request.
            job = self.job = None
            job = self.job = self._pool.next_job(self, began_ns)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
