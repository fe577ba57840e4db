"""Awaitables that mostly complete at once, and those who wait where they do not.

What an application awaits of us costs no frame and no Future while there is nothing to wait for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

# One Future for each waiting task: cancelling a task cancels the Future it waits for.
Waiters = tuple[asyncio.Future[None], ...]


async def _nothing() -> None:
    pass


# The rest of what is over. A finished coroutine answers every further step as they all do.
_SPENT: Final = _nothing()
_SPENT.close()


def _raised(kind: type[BaseException], value: Any) -> BaseException:
    """The error that is meant by its class and what stands beside that."""
    if isinstance(value, kind):
        return value
    return kind() if value is None else kind(value)


class Act:
    """A coroutine, written out.

    Like one it does nothing before its first step, and everything once. Unlike one it costs no
    frame, and that first step is mostly its last.
    """

    __slots__ = ("_rest",)

    _rest: Coroutine[Any, Any, Any] | None  # what must still be waited for; None before all

    def _first_step(self) -> Any:
        """The value of the coroutine; or None, with `_rest` set if there is more to do."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # all that is used of a generator is here

    def __iter__(self) -> Act:
        return self

    def __next__(self) -> Any:
        if self._rest is not None:
            return self._rest.send(None)
        self._rest = _SPENT
        value = self._first_step()
        if self._rest is not _SPENT:
            return self._rest.send(None)
        if value is None:
            raise StopIteration
        raise StopIteration(value)

    def send(self, value: Any) -> Any:  # noqa: ARG002 - a task sends nothing but None
        """One step."""
        return self.__next__()

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        """One step, with an error; given as to a generator, whose older form has three parts."""
        try:
            if isinstance(error, type):
                error = _raised(error, value)
            if traceback is not None:
                error = error.with_traceback(traceback)
            if self._rest is None:
                self._rest = _SPENT
                raise error
            return self._rest.throw(error)
        finally:
            error = value = None  # it holds this frame

    def close(self) -> None:
        """It will not go on."""
        if self._rest is None:
            self._rest = _SPENT
        self._rest.close()


def wake(waiters: Waiters) -> None:
    """Have all of them go on."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def without(waiter: asyncio.Future[None], waiters: Waiters) -> Waiters:
    """The others."""
    return tuple(other for other in waiters if other is not waiter)


def nobody() -> None:
    """Waits any more: a callback that, unlike those of who waited, holds nothing."""
