"""What a worker is doing: every task with the coroutines it waits in, and every thread.

Told on the loop's own thread, so it tells of a loop that turns. Nothing of the application is
called on the way, not even a repr. Tasks that stand at the same place are told once.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from granian_d.interface.stacks import frames_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_CHARS: Final = 1 << 20
NAMES: Final = 5  # of tasks that stand at one place


class _Place(NamedTuple):
    """Where a task stands."""

    frames: tuple[tuple[str, int, str], ...]  # file, line, function; the innermost last
    waits_for: str


def describe(loop: asyncio.AbstractEventLoop) -> str:
    """Tasks of `loop` and threads of this process, for people to read."""
    tasks = "\n".join(_tell_tasks(loop))
    threads = "\n".join(_tell_threads())
    text = f"{tasks}\n{threads}\n"
    return text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + "\n(cut here)\n"


def _tell_tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    places: dict[_Place, list[str]] = {}
    for task in asyncio.all_tasks(loop):
        place = _place_of(task)
        if place.frames:  # one without is idle: it waits for the next request to carry
            places.setdefault(place, []).append(task.get_name())
    yield f"{sum(map(len, places.values()))} task(s)"
    for place, names in sorted(places.items(), key=lambda item: (-len(item[1]), min(item[1]))):
        shown = ", ".join(sorted(names)[:NAMES])
        if len(names) > NAMES:
            shown += f" and {len(names) - NAMES} more"
        yield f"\n{shown}, waiting for {place.waits_for}:"
        yield _frames_text(place.frames)


def _place_of(task: asyncio.Task[Any]) -> _Place:
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        waits_for = "its turn"
    elif isinstance(waiter, asyncio.Task):
        waits_for = waiter.get_name()
    else:
        waits_for = f"a {type(waiter).__name__}"
    frames = (
        (f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for f in frames_of(task.get_coro())
    )
    return _Place(tuple(frames), waits_for)


def _tell_threads() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = sys._current_frames()  # noqa: SLF001 - documented, if meant for such as us
    yield f"\n{len(stacks)} thread(s)"
    for ident, frame in stacks.items():
        name = names.get(ident, "a thread not made by Python")
        if ident == threading.get_ident():
            yield f"\n{name}: runs the loop, and tells this"
            continue
        frames = [
            (entry.f_code.co_filename, line, entry.f_code.co_name)
            for entry, line in traceback.walk_stack(frame)
        ]
        yield f"\n{name}:"
        yield _frames_text(tuple(reversed(frames)))


def _frames_text(frames: tuple[tuple[str, int, str], ...]) -> str:
    summaries = [traceback.FrameSummary(*frame) for frame in frames]
    return "".join(traceback.StackSummary.from_list(summaries).format()).rstrip()
