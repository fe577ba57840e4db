"""How a pool of threads fares, in words of memory that somebody else reads.

Imported where somebody does: it costs each call some 0.7 us.
"""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from granian_d.interface.wsgi.pool import Thread

# The words: threads; calls that wait for one; and in nanoseconds, in sum: threads without a call,
# threads in one (told when it is over), calls from being given to the pool to their begin.
THREADS, QUEUE, IDLE_NS, BUSY_NS, WAIT_NS = range(5)


class Account:
    """It, written by whoever has the pool's lock.

    Args:
        words: five of 64 bits.
    """

    __slots__ = ("_given_ns", "_words")

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._given_ns: deque[int] = deque()  # to the pool: the calls that wait

    def threads(self, count: int) -> None:
        """There are so many."""
        self._words[THREADS] = count

    def waits(self) -> None:
        """A call waits for a thread."""
        self._given_ns.append(monotonic_ns())
        self._words[QUEUE] = len(self._given_ns)

    def taken(self, thread: Thread) -> None:
        """A thread that was busy takes the call that has waited longest."""
        thread.given_ns = self._given_ns.popleft()
        self._words[QUEUE] = len(self._given_ns)

    def woken(self, thread: Thread) -> None:
        """A thread that was idle is given a call."""
        thread.given_ns = monotonic_ns()
        self._words[IDLE_NS] += thread.given_ns - thread.done_ns

    def done(self, thread: Thread) -> None:
        """The call of a thread is over."""
        thread.done_ns = monotonic_ns()
        self._words[WAIT_NS] += thread.began_ns - thread.given_ns
        self._words[BUSY_NS] += thread.done_ns - thread.began_ns
