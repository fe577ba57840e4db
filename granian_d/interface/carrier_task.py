"""The task of a carrier, for `interface.calls`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from granian_d.interface.calls import Carrier


class CarrierTask(asyncio.Task):  # type: ignore[type-arg]  # asyncio - not generic at run time
    """A task that tells its carrier when somebody changes it."""

    def add_done_callback(self, fn: Callable[..., object], /, **context: Any) -> None:
        """See asyncio.Task."""
        self._carrier().touch()
        super().add_done_callback(fn, **context)

    def cancel(self, msg: Any | None = None) -> bool:
        """See asyncio.Task."""
        self._carrier().touch()
        return super().cancel(msg)

    def set_name(self, value: object, /) -> None:
        """See asyncio.Task."""
        carrier = self._carrier()
        carrier.touch()
        carrier.count = 0
        super().set_name(value)

    def get_name(self) -> str:
        """See asyncio.Task; log records show it, so no two calls have the same."""
        name, count = super().get_name(), self._carrier().count
        return f"{name}.{count}" if count > 1 else name

    def get_context(self) -> Context:
        """See asyncio.Task, from Python 3.12 on: the call's."""
        context: Context = self._carrier().context or super().get_context()  # type: ignore[misc]  # asyncio - of 3.12
        return context

    def matters(self, whether: bool) -> None:
        """Say if it is news when the task is destroyed; it is none while nothing is carried."""
        super().__setattr__("_log_destroy_pending", whether)

    def __setattr__(self, name: str, value: object) -> None:
        self._carrier().touch()
        super().__setattr__(name, value)

    def _carrier(self) -> Carrier:
        carrier: Carrier = self.get_coro()  # type: ignore[assignment]  # asyncio - any coroutine
        return carrier
