"""What the front door hands to the master."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from granian_d.control.channel import Channel, Post
    from granian_d.errors import DaemonError
    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Scoreboard
    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.handover import Handover
    from granian_d.systemd.activation import InheritedSocket
    from granian_d.systemd.fdstore import FdStore
    from granian_d.systemd.notify import Notifier
    from granian_d.systemd.pressure import Pressure


class Runtime(Protocol):
    """What the composition root lends to the master: floors that the supervisor must not see."""

    log: Log
    reaps_strangers: bool  # collect exited children that are not the master's

    def planner_command(self, fd: int) -> Sequence[str]:
        """The command line of the planner that answers on `fd`."""

    def planner_input(self) -> int:
        """Descriptor of the planner's standard input; -1 for our own."""

    def take_answer(self) -> bytes:
        """What a planner has answered already; b"" if one is to be started."""

    def check_command(self, fd: int, state: int) -> Sequence[str]:
        """The command line of the check that answers on `fd` and reads what is in `state`.

        Raises:
            DaemonError: this program cannot be upgraded in place.
        """

    def open_logs(self, plan: DaemonPlan) -> None:
        """Open the plan's log files, for workers that are forked from now on.

        Raises:
            ConfigError: one of them cannot be opened.
        """

    def before_workers(self, *, first: bool) -> None:
        """The listeners of a plan are open, none of its workers is started yet.

        Raises:
            DaemonError: the plan is not to become the service.
        """

    def refused(self, error: DaemonError) -> None:
        """There is no plan, or it cannot be adopted."""

    def adopt_logs(self, plan: DaemonPlan) -> None:
        """Write the master's own records as this plan says; close the files of other plans."""

    def warm(self, plan: DaemonPlan) -> None:
        """Import what workers of this plan need and share, and freeze the heap."""

    def reopen_logs(self) -> dict[str, int]:
        """Open the log files anew; their descriptors by path, for the workers."""

    def adopt_orphans(self) -> None:
        """Have this process's grandchildren become its children when their parents end."""

    def serve(self, plan: DaemonPlan, post: Post) -> int:
        """Be a worker or a mold, in a fresh child; its exit status."""

    def export(self, plan: DaemonPlan, listener: socket.socket, master_pid: int) -> int:
        """Be the exporter of metrics, in a fresh child; its exit status."""

    def watch(self, plan: DaemonPlan, channel: Channel, master_pid: int) -> int:
        """Be the watcher, in a fresh child; its exit status."""

    def set_title(self, text: str) -> None:
        """Name this process."""


class Launch(NamedTuple):
    """What the front door hands to the master."""

    runtime: Runtime
    inherited: tuple[InheritedSocket, ...]
    notifier: Notifier
    scoreboard: Scoreboard
    store: FdStore
    handover: Handover | None = None
    pressure: Pressure | None = None
