"""The application as a guest on the loop's thread.

While its code runs there, it must find what it would find in a thread of its own, and the worker
must not pass for dead:

- No event loop: asyncio.run works, and what refuses to block a running loop (Django's ORM, asgiref)
  sees none. Within a Turn there is none from the first visit on, until the turn ends: nothing else
  runs in it, and hiding the loop costs a system call (CPython 3.11 asks for the process id).
- The loop's heartbeat cannot come. A call that takes a minute is none of the server's business, as
  it is not in a thread, so a small thread beats in the loop's stead as long as calls are made.
  It sleeps when there are none, and holds nothing up: it takes what the interpreter gives it.
"""

from __future__ import annotations

import threading
from asyncio import _set_running_loop
from typing import TYPE_CHECKING, Final

from granian_d.http import ticks
from granian_d.http.ticks import now_ns
from granian_d.http.turn import Turn

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

BEAT_S: Final = 1.0  # as the worker's own heart


class Visit:
    """Brackets application code on the loop's thread: `enter`, the code, `leave`.

    Args:
        loop: the loop that runs in this thread.
        clock_ns: tells the time.
        beat: tells the master that the worker lives; None: nobody asks.
        beat_s: how often.
        turn: see there; None: there are none.

    Attributes:
        spent_ns: time between `enter` and `leave`, until somebody sets it to 0.
    """

    __slots__ = (
        "_asleep",
        "_beat",
        "_beat_s",
        "_clock_ns",
        "_closing",
        "_entered_ns",
        "_hidden",
        "_inside",
        "_loop",
        "_news",
        "_thread",
        "_ticks",
        "_turn",
        "_visits",
        "spent_ns",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock_ns: Callable[[], int],
        beat: Callable[[], None] | None,
        beat_s: float = BEAT_S,
        turn: Turn | None = None,
    ) -> None:
        self._loop = loop
        self._clock_ns = clock_ns
        self._ticks = clock_ns is ticks.now_ns  # which C reads without Python
        self._turn = Turn() if turn is None else turn
        self._hidden = False  # the loop, by us
        self._beat = beat
        self._beat_s = beat_s
        self._entered_ns = 0
        self.spent_ns = 0
        # Between the two threads. Each writes its own words and then reads the other's, so that
        # one of them always sees that there is something to beat for.
        self._visits = 0
        self._inside = False
        self._asleep = beat is not None
        self._news = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def enter(self) -> None:
        """Application code is about to run."""
        self._visits += 1
        self._inside = True
        if self._asleep:
            self._rouse()
        if not self._hidden:
            self._hide()
        self._entered_ns = now_ns() if self._ticks else self._clock_ns()

    def leave(self) -> None:
        """It has run."""
        left_ns = now_ns() if self._ticks else self._clock_ns()
        self.spent_ns += left_ns - self._entered_ns
        self._inside = False
        if not self._turn.on:
            self._show()

    def _hide(self) -> None:
        """Let no loop be found, until `leave` or the end of the turn."""
        _set_running_loop(None)
        self._hidden = True
        if self._turn.on:
            self._turn.call_behind(self._show)

    def _show(self) -> None:
        _set_running_loop(self._loop)
        self._hidden = False

    def close(self) -> None:
        """There will be no more visits."""
        self._closing = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _rouse(self) -> None:
        self._asleep = False
        self._news.set()
        if self._thread is None:
            thread = threading.Thread(target=self._keep_beating, name="wsgi-beat", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no thread: the next visit asks again
                self._asleep = True
            else:
                self._thread = thread

    # --- in the thread -----------------------------------------------------------------------

    def _keep_beating(self) -> None:
        assert self._beat is not None
        while not self._closing:
            seen = self._visits
            self._news.wait(None if self._asleep else self._beat_s)
            self._news.clear()
            if self._inside or self._visits != seen:
                self._beat()
            else:
                self._asleep = True
                if self._inside or self._visits != seen:  # it has not seen us go to sleep
                    self._asleep = False
