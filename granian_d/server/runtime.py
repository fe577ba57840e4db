"""What the master borrows of a program: the daemon's own runtime, with other sources.

The planner reads the program's arguments, workers find the application as the program says, and
the program is told when something begins.
"""

from __future__ import annotations

import atexit
import os
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from granian_d.cli.serve import Runtime, program_planner_command
from granian_d.errors import ConfigError, DaemonError
from granian_d.server.orphans import Orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.control.channel import Post
    from granian_d.observe.scoreboard import Scoreboard
    from granian_d.plan import DaemonPlan
    from granian_d.server.request import Request


class ProgramRuntime(Runtime):
    """See supervisor.launch.Runtime.

    Args:
        request: the program's arguments.
        find: gives the application, in a worker; None where the target names it.
        begin: is called before the first worker, and
        renew: before the first worker of each later generation.
        inherited: names of the sockets that the service manager passed.
        scoreboard: of the workers.

    Attributes:
        reload_filter: says which changes of files count, in development.
        begun: `begin` has been called and has returned.
        fault: what it raised.
        refusal: why there is no first plan.
    """

    def __init__(
        self,
        request: Request,
        find: Callable[[], Any] | None,
        begin: Callable[[], None],
        renew: Callable[[], None],
        inherited: Sequence[str],
        scoreboard: Scoreboard,
    ) -> None:
        super().__init__((), inherited, scoreboard)
        self.reaps_strangers = os.getpid() == 1  # else the program may wait for them itself
        self.reload_filter = request.reload_filter
        self.begun = False
        self.fault: BaseException | None = None
        self.refusal: DaemonError | None = None
        self._request = request
        self._find = find
        self._begin = begin
        self._renew = renew
        self._orphans = Orphans()

    def planner_command(self, fd: int) -> Sequence[str]:
        """The command line of the planner that answers on `fd`."""
        return program_planner_command(fd, self._inherited)

    def planner_input(self) -> int:
        """Descriptor from which it reads the program's arguments."""
        return self._request.fileno()

    def take_answer(self) -> bytes:
        """At the first start that of the planner which has judged the arguments."""
        return self._request.take_answer()

    def check_command(self, fd: int, state: int) -> Sequence[str]:  # noqa: ARG002 - the signature is the supervisor's
        """There is none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "a daemon that a program has started cannot be upgraded in place: what would be"
            " executed is the program, which does not expect it; restart the program"
        )

    def before_workers(self, *, first: bool) -> None:
        """Call the program's hooks.

        Raises:
            DaemonError: one of them raised.
        """
        try:
            if first:
                self._begin()
            else:
                self._renew()
        except (Exception, SystemExit) as error:
            if not first:
                raise
            self.fault = error
            raise DaemonError(f"on_startup failed: {type(error).__name__}: {error}") from error
        finally:
            _flush()
        self.begun = True

    def refused(self, error: DaemonError) -> None:
        """Keep it for the program."""
        if not self.begun:
            self.refusal = error

    def warm(self, plan: DaemonPlan) -> None:
        """As the daemon's; and say what a fork does not copy."""
        if (threads := len(os.listdir("/proc/self/task"))) > 1:
            reason = (
                f"the program has {threads} threads; workers are forked, and have only this one"
            )
            self.log.event("config_warning", reason=reason)
        super().warm(self._request.complete(plan))

    def adopt_orphans(self) -> None:
        """As the daemon's, until `close`."""
        self._orphans.adopt()

    def serve(self, plan: DaemonPlan, post: Post) -> int:
        """Be a worker or a mold."""
        _forget_exit_handlers()
        plan = self._request.complete(plan)
        find = partial(import_module("granian_d.worker.load").load_application, loader=self._find)
        worker = import_module("granian_d.worker.main")
        code: int = worker.run(plan, post, partial(self._furnish, plan), find)
        return code

    def close(self) -> None:
        """Let go of all that the program should not keep."""
        self._orphans.release()
        super().close()


def _flush() -> None:
    """Write what the program has printed: each worker would write it again."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _forget_exit_handlers() -> None:
    """In a worker: what the program does at its end (remove its files, say) is not to be done here.

    But the log files of a program are to be complete.
    """
    atexit._clear()  # noqa: SLF001 - there is no other way; multiprocessing does it, too
    if "logging" in sys.modules:
        atexit.register(sys.modules["logging"].shutdown)
