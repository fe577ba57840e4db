"""The worker's event loop."""

from __future__ import annotations

import asyncio

from granian_d.event_loops import loops


def preload(name: str) -> None:
    """Import the loop's module without making a loop."""
    loops.preload(name)


def make(name: str) -> asyncio.AbstractEventLoop:
    """A new loop of that kind, set as this thread's current one.

    Raises:
        LoopMissing: it is not installed.
    """
    loop = loops.get(name)
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
