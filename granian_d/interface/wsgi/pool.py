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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from granian_d.interface.wsgi.account import Account


class Pool:
    """At most `most` threads, made on demand. Jobs are given by the loop's thread only.

    Args:
        most: how many threads there may be.
        idle_timeout_s: a thread without a job for that long ends.
        loop: whose thread gives the jobs.
        account: is told how it fares; None where nobody looks.

    Attributes:
        pending: jobs that run or wait. Only the loop's thread adds to it, so where that finds 0
            without the lock, no job is under way.
    """

    __slots__ = (
        "_account",
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
        "pending",
    )

    def __init__(
        self,
        most: int,
        idle_timeout_s: float,
        loop: asyncio.AbstractEventLoop,
        account: Account | None = None,
    ) -> None:
        self._account = account
        self._most = most
        self._idle_timeout_s = idle_timeout_s
        self._loop = loop
        self._lock = threading.Lock()  # over everything below
        self._threads: set[Thread] = set()
        self._idle: list[Thread] = []
        self._backlog: deque[Callable[[], None]] = deque()
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
                self._keep(job)
                return
            self._made += 1
            thread = Thread(self, job, f"wsgi-{self._made}", timed=self._account is not None)
            self._threads.add(thread)
            self._count_threads()
        self._start(thread, job)

    def _wake(self, job: Callable[[], None]) -> None:
        """Have an idle thread run a job; has the lock."""
        thread = self._idle.pop()
        if self._account is not None:
            self._account.woken(thread)
        thread.job = job
        thread.wake.release()

    def _keep(self, job: Callable[[], None]) -> None:
        """Have the next thread that is free run a job; has the lock."""
        if self._account is not None:
            self._account.waits()
        self._backlog.append(job)

    def _count_threads(self) -> None:
        if self._account is not None:
            self._account.threads(len(self._threads))

    def _start(self, thread: Thread, job: Callable[[], None]) -> None:
        """Start a thread; where the system gives no more, its job waits for one that lives.

        Raises:
            RuntimeError: there is no thread at all, nor can there be one.
        """
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._leave(thread)
                if self._idle:
                    self._wake(job)
                elif self._threads:
                    self._keep(job)
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

    def next_job(self, thread: Thread) -> Callable[[], None] | None:
        """One job of `thread` is done: wait for the next one; None when it is to end."""
        account = self._account
        with self._lock:
            self.pending -= 1
            if account is not None:
                account.done(thread)
            if self._backlog:
                if account is not None:
                    account.taken(thread)
                return self._backlog.popleft()
            if not self.pending:
                self._tell_quiet()
            if self._closing:
                self._leave(thread)
                return None
            self._idle.append(thread)
        if not thread.wake.acquire(timeout=self._idle_timeout_s):
            with self._lock:
                if thread in self._idle:
                    self._idle.remove(thread)
                    self._leave(thread)
                    return None
            thread.wake.acquire()  # it was chosen just after its time was up
        if thread.job is None:
            with self._lock:
                self._leave(thread)
        return thread.job

    def _leave(self, thread: Thread) -> None:
        """A thread ends; has the lock."""
        self._threads.discard(thread)
        self._count_threads()

    def _tell_quiet(self) -> None:
        callbacks, self._on_quiet = self._on_quiet, []
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            for callback in callbacks:
                self._loop.call_soon_threadsafe(callback)


class Thread(threading.Thread):
    """One thread. A daemon: at the end of its patience the worker leaves a stuck one behind.

    Attributes:
        job: that it runs.
        given_ns: of its job, when it was given to the pool. Like the others, where it is timed.
        began_ns: of its job, when it began.
        done_ns: of its last job, when it was over.
    """

    def __init__(self, pool: Pool, job: Callable[[], None], name: str, *, timed: bool) -> None:
        super().__init__(name=name, daemon=True)
        self._timed = timed
        self.given_ns = monotonic_ns()
        self.began_ns = self.done_ns = 0
        self._pool = pool
        self.job: Callable[[], None] | None = job
        self.wake = threading.Lock()
        self.wake.acquire()  # released by whoever has something for this thread

    def run(self) -> None:
        """Do one job after the other."""
        job = self.job
        timed = self._timed
        while job is not None:
            if timed:
                self.began_ns = monotonic_ns()
            job()
            # An idle thread must not hold on to its last request.
            job = self.job = None
            job = self.job = self._pool.next_job(self)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
