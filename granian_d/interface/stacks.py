"""Where a call is that waits: its frames, through everything that it awaits.

`Task.get_stack` knows the outermost frame of a task that waits. Here the way goes on through the
coroutines and generators below it, and into the task that it waits for, if that is what it does.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from types import FrameType

FRAMES: Final = 100  # of one stack: more is a recursion, and says no more
TASKS: Final = 10  # that wait for each other, in a row

# What is awaited in a coroutine or generator of each kind, and where that stands.
_FRAMES: Final = ("cr_frame", "gi_frame", "ag_frame")
_AWAITED: Final = ("cr_await", "gi_yieldfrom", "ag_await")
# These hold a coroutine or an asynchronous generator, and only the garbage collector can tell.
_WRAPPERS: Final = frozenset(
    {"async_generator_asend", "async_generator_athrow", "coroutine_wrapper"}
)
_OURS: Final = (os.path.dirname(os.path.dirname(__file__)) + os.sep, threading.__file__)


def stack_of_task(task: asyncio.Task[Any]) -> str:
    """Lines of a traceback, innermost last; "" when the task has no frame of Python."""
    return _lines(list(_frames_of_task(task)))


def stack_of_thread(ident: int) -> str:
    """The same of a thread, without the frames that brought it to the application; "" if gone."""
    frames = []
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - documented all the same
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    while frames and frames[-1].f_code.co_filename.startswith(_OURS):
        frames.pop()
    return _lines(frames[::-1])


def _lines(frames: list[FrameType]) -> str:
    pairs = [(frame, frame.f_lineno) for frame in frames[-FRAMES:]]
    if not pairs:
        return ""
    lines = traceback.StackSummary.extract(iter(pairs)).format()
    return "".join(["Stack (most recent call last):\n", *lines]).rstrip()


def _frames_of_task(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    following: Any = task
    for _ in range(TASKS):
        if not hasattr(following, "get_coro"):
            return
        yield from frames_of(following.get_coro())
        following = getattr(following, "_fut_waiter", None)


def frames_of(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a coroutine that waits and of what it awaits, and so on inwards."""
    for _ in range(FRAMES):
        if type(coroutine).__name__ in _WRAPPERS:
            coroutine = _held_by(coroutine)
        frame = _first(coroutine, _FRAMES)
        if frame is not None:
            yield frame
        coroutine = _first(coroutine, _AWAITED)
        if coroutine is None:
            return


def _held_by(wrapper: Any) -> Any:
    return next((o for o in gc.get_referents(wrapper) if _first(o, _FRAMES) is not None), None)


def _first(thing: Any, names: tuple[str, ...]) -> Any:
    return next((v for name in names if (v := getattr(thing, name, None)) is not None), None)
