"""`Granian`: the daemon, started by a program, which becomes its master."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from granian_d.cli.serve import prepare
from granian_d.errors import ConfigError
from granian_d.server.hooks import Hooks, call, renew
from granian_d.server.lent import check_caller, lent
from granian_d.server.request import Request
from granian_d.server.runtime import ProgramRuntime
from granian_d.supervisor import loop
from granian_d.systemd.activation import take_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.observe.scoreboard import Scoreboard


class Server(Hooks):
    """A daemon that this program is to become the master of (docs/api.md).

    Args:
        target: the application, as "package.module:attribute".
        address: to listen on.
        port: to listen on; 0 is any free one.
        options: the others of Granian by its names, and all of granian-d by theirs, with
            underscores for dots; None is not given. `config` names a TOML file with further ones.

    Attributes:
        target: as given.
        plan: what the arguments mean, judged and complete.

    Raises:
        ConfigError: an argument cannot be used.
        ListenError: a host name cannot be resolved.
    """

    def __init__(
        self,
        target: str | None = None,
        address: str | None = None,
        port: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._request = Request({"target": target, "address": address, "port": port} | options)
        # A copy: whoever serves takes the sockets of the service manager, and forgets the names.
        passed = take_sockets(dict(os.environ), os.getpid())
        self.plan = self._request.plan([socket.name for socket in passed])
        self.target = target if target is not None else self.plan.worker.target

    def serve(
        self,
        spawn_target: Callable[..., Any] | None = None,
        target_loader: Callable[..., Any] | None = None,
        wrap_loader: bool = True,
    ) -> None:
        """Be the master until somebody stops it.

        Args:
            spawn_target: refused: a worker's main function is the daemon's own.
            target_loader: returns the application; called in each worker.
            wrap_loader: give it the target.

        Raises:
            DaemonError: this process cannot be the master, or what it needs cannot be had.
            SystemExit: the daemon has failed: see `shutdown`.
        """
        if spawn_target is not None:
            raise ConfigError(
                "spawn_target: workers have a main function of their own; a target_loader gives"
                " them the application"
            )
        check_caller()
        find = target_loader
        if target_loader is not None and wrap_loader:
            find = partial(target_loader, self.target)
        begin = partial(self.startup, spawn_target, find)
        renewal = partial(renew, self.hooks_reload)
        make = partial(ProgramRuntime, self._request, find, begin, renewal)
        with lent():
            end = _be_master(make)
            if end.error is not None:
                raise end.error
            if end.begun:
                self.shutdown(end.code)

    def startup(self, spawn_target: Any, target_loader: Any) -> None:  # noqa: ARG002 - Granian's signature
        """Called when the sockets are open, before there is a worker: calls the hooks."""
        call(self.hooks_startup)

    def shutdown(self, exit_code: int = 0) -> None:
        """Called when the last worker has gone: calls the hooks.

        Args:
            exit_code: of the daemon; 0 of one that was stopped.

        Raises:
            SystemExit: the code is another.
        """
        call(self.hooks_shutdown)
        if exit_code:
            sys.exit(exit_code)


class _End(NamedTuple):
    """How it was to be the master.

    Attributes:
        begun: it came so far that there were to be workers.
        code: exit status of the daemon.
        error: why it did not begin: the program's own, or the daemon's.
    """

    begun: bool
    code: int
    error: BaseException | None


def _be_master(make: Callable[[Sequence[str], Scoreboard], ProgramRuntime]) -> _End:
    launch = prepare(make)
    runtime = launch.runtime
    assert isinstance(runtime, ProgramRuntime)
    try:
        code = loop.run(launch)
    finally:
        launch.notifier.close()
        runtime.close()
    return _End(runtime.begun, code, runtime.fault or runtime.refusal)
