"""The running calls of an asynchronous application: one task for each.

From Python 3.12 on a call starts eagerly: it runs until it first has to wait, within the very
turn of the loop in which its request arrived. One that never waits costs no turn, and no entry
here.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any


class Call(Protocol):
    """One call of the application."""

    task: asyncio.Task[None] | None

    def run(self) -> Coroutine[Any, Any, None]:
        """Call the application and deal with whatever comes of it.

        Never raises, and calls `Calls.ended` last.
        """


class Calls:
    """The calls under way, held so that none of them is collected while it waits.

    Attributes:
        closing: they are being cancelled; what they raise is our doing.
    """

    __slots__ = ("_loop", "_running", "closing")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: set[Call] = set()
        self.closing = False

    def start(self, call: Call) -> None:
        """Run `call` in a task of its own."""
        if sys.version_info >= (3, 12):
            task = asyncio.Task(call.run(), loop=self._loop, eager_start=True)
            if task.done():
                return
        else:
            task = asyncio.Task(call.run(), loop=self._loop)
        call.task = task
        self._running.add(call)

    def ended(self, call: Call) -> None:
        """`call` is over: let go of it."""
        call.task = None
        self._running.discard(call)

    async def settle(self) -> None:
        """Wait until no call is under way; takes as long as the application does."""
        while self._running:
            await asyncio.wait(self._tasks())

    async def cancel(self) -> None:
        """Cancel what is under way, and see it end."""
        self.closing = True
        for task in self._tasks():
            task.cancel()
        await self.settle()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self._running if call.task is not None]
