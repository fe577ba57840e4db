"""The worker's event loop."""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from granian_d.plan.model import LoopName


def resolve(name: LoopName) -> LoopName:
    """The loop that "auto" means here: uvloop where it is installed."""
    if name != "auto":
        return name
    return "uvloop" if find_spec("uvloop") else "asyncio"


def preload(name: LoopName) -> None:
    """Import the loop's module without making a loop."""
    if resolve(name) == "uvloop":
        import_module("uvloop")


def make(name: LoopName) -> asyncio.AbstractEventLoop:
    """A new loop of that kind, set as this thread's current one."""
    if resolve(name) == "uvloop":
        import uvloop  # noqa: PLC0415 - a worker on asyncio's loop does not pay for it

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def close(loop: asyncio.AbstractEventLoop) -> None:
    """End what the application left behind, as asyncio.run does."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    asyncio.set_event_loop(None)
