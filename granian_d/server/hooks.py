"""What a program wants to be called for, in the process that calls `serve`."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, TypeVar

from granian_d.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Hook = TypeVar("Hook", bound=Callable[[], Any])


class Hooks:
    """Functions without arguments; what registers them returns them, and so is a decorator."""

    def __init__(self) -> None:
        self.hooks_startup: list[Callable[[], Any]] = []
        self.hooks_reload: list[Callable[[], Any]] = []
        self.hooks_shutdown: list[Callable[[], Any]] = []

    def on_startup(self, hook: Hook) -> Hook:
        """Call it when the sockets are open, before there is a worker."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Call it at each reload, before the workers of the new generation."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Call it when the last worker has gone."""
        self.hooks_shutdown.append(hook)
        return hook


def renew(hooks: Iterable[Callable[[], Any]]) -> None:
    """Call those of a reload.

    Raises:
        DaemonError: one of them raised, and where; the reload is to fail.
    """
    try:
        call(hooks)
    except (Exception, SystemExit) as error:
        text = traceback.format_exc().rstrip()
        reason = f"on_reload failed: {type(error).__name__}: {error}\n{text}"
        raise DaemonError(reason) from error


def call(hooks: Iterable[Callable[[], Any]]) -> None:
    """Call them in order; what one of them raises is the caller's."""
    for hook in hooks:
        hook()
