"""A future that wakes its task at once, for `interface.calls`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


class Gate:
    """What a carrier's task waits for between two calls: a future that wakes it at once.

    Attributes:
        wakeup: makes the task go on; None unless it waits.
        passing: a call takes its first step, for the task that waits.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_loop", "passing", "wakeup")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.wakeup: Callable[[Gate], None] | None = None
        self.passing = False
        self._asyncio_future_blocking = False
        self._loop = loop
        self._cancelled = False

    def open(self) -> None:
        """Have the task go on now. No other may be running."""
        wakeup, self.wakeup = self.wakeup, None
        if wakeup is not None:
            wakeup(self)

    # --- what a task asks of a future ----------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the task."""
        return self._loop

    def add_done_callback(
        self,
        callback: Callable[[Gate], None],
        *,
        context: Context | None = None,  # noqa: ARG002 - each call has a context of its own
    ) -> None:
        """Keep the task's way to be woken."""
        self.wakeup = callback

    def done(self) -> bool:
        """It has yet to open, whenever a task waits for it."""
        return False

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002 - as a future's
        """Somebody cancels the task while it is idle, or for the call that passes."""
        if self.passing:
            return False  # then the task remembers it, as every task does that runs
        self._cancelled = True
        self._loop.call_soon(self.open)
        return True

    def result(self) -> None:
        """Nothing, unless the idle task was cancelled."""
        if self._cancelled:
            raise asyncio.CancelledError
