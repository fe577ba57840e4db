"""A step of a coroutine, contexts, and who holds a task: what C can have for less than Python.

stepping.pyx beside it is the compiled form of `interface.calls`' way to them; the tests hold the
two together.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


def step(coroutine: Any, ended: object) -> Any:
    """What a coroutine waits for in its next step; `ended` if it has come to its end."""
    try:
        return coroutine.send(None)
    except StopIteration:
        return ended


def copied(context: Context) -> Context:
    """A copy of a context."""
    return context.copy()


def run_in(context: Context, function: Callable[[Any, Any], Any], one: Any, two: Any) -> Any:
    """`function(one, two)` in `context`."""
    return context.run(function, one, two)


def count_holders(thing: object) -> int:
    """How many references there are to an object, weak ones too; one or two are the caller's."""
    return sys.getrefcount(thing) + getweakrefcount(thing)
