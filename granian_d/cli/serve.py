"""`granian-d`: the front door of the daemon, where the apartments are put together.

The process that runs this becomes the master. It reads no option itself: the planner, another
process, turns the command line into a plan.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from setproctitle import setproctitle

import granian_d
from granian_d.control.channel import Failed, sealed_memory
from granian_d.errors import ConfigError, DaemonError
from granian_d.observe.log import STDERR, Log, LogFile, stderr_is_journal
from granian_d.observe.scoreboard import Scoreboard
from granian_d.plan import LogPlan
from granian_d.supervisor import loop
from granian_d.supervisor.handover import VARIABLE
from granian_d.supervisor.launch import Launch
from granian_d.systemd import fdstore
from granian_d.systemd.activation import take_sockets
from granian_d.systemd.fdstore import FdStore
from granian_d.systemd.notify import Notifier

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from granian_d.control.channel import Channel, Post
    from granian_d.observe.log import Put
    from granian_d.observe.scoreboard import Row
    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.handover import Handover
    from granian_d.systemd.journal import Journal
    from granian_d.systemd.pressure import Pressure
    from granian_d.worker.desk import Desk, RequestLog

SUCCESSION: Final = "granian_d.supervisor.succession"
STDIN: Final = 0
STDOUT: Final = 1
PRESSURE: Final = "MEMORY_PRESSURE_WATCH"
PRESSURE_ROOM: Final = "granian_d.systemd.pressure"
EXPORTER: Final = "granian_d.worker.exporter"
LOG_CONFIG: Final = "granian_d.observe.log_config"
WATCHER: Final = "granian_d.cli.watcher"
# Forms of the access log: only the one that is wanted has memory.
ACCESS: Final = {
    "text": ("granian_d.observe.access_log", "AccessLog"),
    "json": ("granian_d.observe.access_json", "AccessJson"),
    "journal": ("granian_d.observe.access_entries", "AccessEntries"),
    "logging": ("granian_d.observe.access_records", "AccessRecords"),
}

# -P: the current directory is the application's; its modules must not stand for the planner's.
# Only where granian-d itself was imported from there is there no other way. Found out at the
# start: a deploy may remove the directory under a running daemon.
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(granian_d.__file__)))


def _is_in(directory: str) -> bool:
    try:
        return os.getcwd() == directory
    except FileNotFoundError:  # removed under a daemon that upgrades in place
        return False


_PLANNER_FLAGS: Final = () if _is_in(_ROOT) else ("-P",)

# Before a plan says otherwise.
FIRST_LOG: Final = LogPlan(enabled=True, level="info", format="auto", file="", config="")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _mend_inheritance()
    try:
        launch = prepare(partial(Runtime, arguments), _take_over(os.getpid()))
    except DaemonError as error:
        sys.stderr.write(f"granian-d: {error}\n")
        return error.exit_code
    return loop.run(launch)


def prepare(
    make: Callable[[Sequence[str], Scoreboard], Runtime], handover: Handover | None = None
) -> Launch:
    """What the master starts with; takes what the service manager has passed to this process.

    Args:
        make: gives its runtime, of the names of the sockets passed and the scoreboard.
        handover: of this process' last program, if there was one.

    Raises:
        DaemonError: what was passed cannot be used.
    """
    pid = os.getpid()
    passed = take_sockets(os.environ, pid)
    inherited = tuple(one for one in passed if not fdstore.is_stored(one.name))
    notifier = Notifier(os.environ, pid)
    store = FdStore(notifier, (one for one in passed if fdstore.is_stored(one.name)))
    if handover is not None:
        inherited = import_module(SUCCESSION).sockets(handover)
    scoreboard = _scoreboard(store, handover)
    runtime = make(tuple(socket.name for socket in inherited), scoreboard)
    pressure = _pressure(runtime)
    return Launch(runtime, inherited, notifier, scoreboard, store, handover, pressure)


def _pressure(runtime: Runtime) -> Pressure | None:
    """What tells that memory is short, if the manager wants that to be watched."""
    if os.environ.get(PRESSURE, os.devnull) == os.devnull:  # /dev/null: nobody wants it
        return None
    try:
        watched: Pressure = import_module(PRESSURE_ROOM).Pressure(os.environ)
    except (OSError, ValueError) as error:
        runtime.log.event("config_warning", reason=f"cannot watch memory pressure: {error}")
        return None
    return watched


def _take_over(pid: int) -> Handover | None:
    """What this process' last program left, if it has upgraded in place.

    Raises:
        DaemonError: it cannot be gone on from.
    """
    if VARIABLE not in os.environ:
        return None
    handover: Handover | None = import_module(SUCCESSION).receive(os.environ, pid)
    return handover


def _scoreboard(store: FdStore, handover: Handover | None) -> Scoreboard:
    """That of the workers there are, or that the manager has kept; else a new one."""
    if handover is not None:
        board: Scoreboard = import_module(SUCCESSION).scoreboard(handover)
        return board
    stored = store.take(fdstore.SCOREBOARD)
    if stored is None:
        return Scoreboard()
    try:
        return Scoreboard(stored.fd)
    except (OSError, ValueError):  # of another release
        os.close(stored.fd)
        return Scoreboard()


def _mend_inheritance() -> None:
    """Undo what a careless parent may have left: closed standard streams, odd signal states."""
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            # Else the next descriptor we open would become somebody's standard output.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, fd in (("stdout", STDOUT), ("stderr", STDERR)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w", closefd=False))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children would vanish unreaped
    # Blocked signals are let through when somebody listens to them (supervisor.loop): those that
    # came while this process upgraded in place wait for that.


def planner_command(fd: int, inherited: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """The command line of the planner.

    Args:
        fd: descriptor it answers on.
        inherited: names of the sockets that the service manager passed.
        arguments: those of `granian-d`.
    """
    names = json.dumps(list(inherited))
    planner = [*_PLANNER_FLAGS, "-m", "granian_d.cli.planner", str(fd), names, "--", *arguments]
    return [sys.executable, *planner]


def program_planner_command(fd: int, inherited: Sequence[str]) -> list[str]:
    """The command line of the planner whose settings come on its standard input.

    Args:
        fd: descriptor it answers on.
        inherited: names of the sockets that the service manager passed.
    """
    words = [str(fd), json.dumps(list(inherited)), "-"]
    return [sys.executable, *_PLANNER_FLAGS, "-m", "granian_d.cli.planner", *words]


def check_command(
    fd: int, state: int, inherited: Sequence[str], arguments: Sequence[str]
) -> list[str]:
    """The command line of the check; see planner_command.

    Args:
        fd: descriptor it answers on.
        state: descriptor of what would be handed over.
        inherited: names of the sockets that the service manager passed.
        arguments: those of `granian-d`.
    """
    words = [str(fd), str(state), os.path.abspath(sys.argv[0]), json.dumps(list(inherited))]
    check = [*_PLANNER_FLAGS, "-m", "granian_d.cli.check", *words, "--", *arguments]
    return [sys.executable, *check]


class Runtime:
    """What the master borrows: see supervisor.launch.Runtime.

    Attributes:
        log: the master's own.
        scoreboard: of all workers.
        reload_filter: says which changes of files count, in development (cli.watcher.run).
    """

    reload_filter: Any = None

    reaps_strangers = True  # as PID 1 of a container, and with preload

    def __init__(
        self, arguments: Sequence[str], inherited: Sequence[str], scoreboard: Scoreboard
    ) -> None:
        self._arguments = arguments
        self._inherited = inherited
        self._journal = stderr_is_journal(os.environ)
        self._sink: Journal | None = None
        self._files: dict[str, LogFile] = {"": LogFile("", STDERR)}
        self._stdout = LogFile("", STDOUT)
        self._put: Put | None = None  # Python's logging, if it is configured to take records
        self.log = Log(FIRST_LOG, self._files[""], journal=self._journal)
        self.scoreboard = scoreboard

    def planner_command(self, fd: int) -> Sequence[str]:
        """The command line of the planner that answers on `fd`."""
        return planner_command(fd, self._inherited, self._arguments)

    def planner_input(self) -> int:
        """The planner reads nothing."""
        return -1

    def take_answer(self) -> bytes:
        """Nobody has planned before."""
        return b""

    def check_command(self, fd: int, state: int) -> Sequence[str]:
        """The command line of the check that answers on `fd` and reads what is in `state`."""
        return check_command(fd, state, self._inherited, self._arguments)

    def before_workers(self, *, first: bool) -> None:
        """Nobody wants to know."""

    def refused(self, error: DaemonError) -> None:
        """It is in the log, and in the exit status."""

    def set_title(self, text: str) -> None:
        """Name this process."""
        setproctitle(text)

    def open_logs(self, plan: DaemonPlan) -> None:
        """Open the plan's log files.

        Raises:
            ConfigError: one of them cannot be opened, or logging not be configured.
        """
        if self._put is None:  # else not before the plan is committed: see adopt_logs
            self._configure(plan)
        for path in (plan.log.file, plan.access_log.file):
            if path not in self._files:
                try:
                    self._files[path] = LogFile(path, -1)
                except OSError as error:
                    raise ConfigError(f"log file {path}: {error.strerror}") from error

    def adopt_logs(self, plan: DaemonPlan) -> None:
        """Write the master's own records as this plan says; close the files of other plans."""
        if self._journal and self._sink is None:
            # Not earlier: of a process that ends at once, journald may not find out the unit when
            # it reads the entry; that of its standard error it knows.
            self._sink = _open_journal()
        fault = ""
        try:
            self._configure(plan)
        except ConfigError as error:  # it has served another process; now its files have gone, say
            fault = f"records are written without it: {error}"
        self.log = self._log(plan, {})
        if fault:
            self.log.event("config_warning", reason=fault)
        for path in set(self._files) - {"", plan.log.file, plan.access_log.file}:
            self._files.pop(path).close()

    def _log(self, plan: DaemonPlan, who: Mapping[str, Any]) -> Log:
        file = self._files[plan.log.file]
        send = self._sink.send if self._sink is not None else None
        return Log(plan.log, file, journal=self._journal, who=who, send=send, put=self._put)

    def _configure(self, plan: DaemonPlan) -> None:
        """Have Python's logging be as the plan wants it, in this process.

        Raises:
            ConfigError: it cannot be had.
        """
        self._put = None
        if plan.log.config or LOG_CONFIG in sys.modules:
            room = import_module(LOG_CONFIG)
            if room.configure(plan.log):
                self._put = room.put

    def reopen_logs(self) -> dict[str, int]:
        """Open the log files anew; their descriptors by path, for the workers."""
        ways: dict[str, Callable[[], int]] = {}
        if self._put is not None:
            room = import_module(LOG_CONFIG)
            ways = {path: partial(room.reopen, path) for path in room.paths()}
        ways |= {path: file.reopen for path, file in self._files.items() if path}
        fds = {}
        for path, reopen in ways.items():
            try:
                fds[path] = reopen()
            except OSError as error:
                self.log.event("reopen_failed", path=path, reason=error.strerror)
        return fds

    def warm(self, plan: DaemonPlan) -> None:
        """Import what all workers share, then freeze the heap.

        Modules only: no loop and no thread may exist before a fork.
        """
        import_module("granian_d.worker.desk")
        import_module("granian_d.worker.main").prepare(plan)
        if plan.access_log.enabled:
            import_module(ACCESS[_access_form(plan)][0])
        if plan.metrics is not None:
            import_module(EXPORTER)
        import_module("granian_d.worker.memory").share()

    def adopt_orphans(self) -> None:
        """Have this process's grandchildren become its children when their parents end."""
        import_module("granian_d.worker.identity").adopt_orphans()

    def serve(self, plan: DaemonPlan, post: Post) -> int:
        """Be a worker or a mold."""
        try:
            self._configure(plan)  # as the master: whom the worker becomes may not open files
        except ConfigError as error:
            post.channel.send(Failed(str(error), error.exit_code))
            return error.exit_code
        worker = import_module("granian_d.worker.main")
        code: int = worker.run(plan, post, partial(self._furnish, plan))
        return code

    def export(self, plan: DaemonPlan, listener: socket.socket, master_pid: int) -> int:
        """Be the exporter of metrics."""
        setproctitle(f"granian-d: metrics [{plan.master.process_name}]")
        if self._sink is not None:
            self._sink.close()  # another process's, as below
        self._sink = _open_journal() if self._journal else None
        exporter = import_module(EXPORTER)
        log = self._log(plan, {})
        code: int = exporter.run(plan, listener, master_pid, log, self.scoreboard)
        return code

    def watch(self, plan: DaemonPlan, channel: Channel, master_pid: int) -> int:
        """Be the watcher: as whoever the application is, for the filter may be its code."""
        watcher = import_module(WATCHER)
        identity = import_module("granian_d.worker.identity")
        assert plan.watch is not None
        setproctitle(f"granian-d: watcher [{plan.master.process_name}]")
        own = watcher.own_files(plan)
        identity.become(plan.worker.identity)
        if not identity.die_with(master_pid):
            return 0
        code: int = watcher.run(plan.watch, channel, own, self.reload_filter)
        return code

    def _furnish(self, plan: DaemonPlan, post: Post) -> Desk:
        """Name this process, and give it what it writes on."""
        part = f"worker {post.slot}" if post.slot else "mold"
        setproctitle(f"granian-d: {part} [{plan.master.process_name}] gen {post.generation}")
        who = {"worker": post.slot, "generation": post.generation}
        row = self.scoreboard.row(post.row) if post.slot else memoryview(b"")
        return self.desk(plan, row, who)

    def desk(self, plan: DaemonPlan, row: Row, who: Mapping[str, Any]) -> Desk:
        """What is written on by one that serves.

        Args:
            plan: whose log files are open.
            row: of the scoreboard.
            who: tells its records from others.
        """
        if self._sink is not None:
            self._sink.close()  # another process's, and so is the room in its buffer
        wants_entries = plan.access_log.enabled and _access_form(plan) == "journal"
        self._sink = _open_journal() if self._journal or wants_entries else None
        access = plan.access_log.file
        access_file = self._files[access] if access else self._stdout
        access_log = self._access_log(plan, access_file, who) if plan.access_log.enabled else None
        adopt = import_module(LOG_CONFIG).adopt if self._put is not None else None
        desk = import_module("granian_d.worker.desk").Desk
        log, health = self._log(plan, who), self.scoreboard.health
        made: Desk = desk(row, log, access_file, health, access_log, adopt)
        return made

    def _access_log(
        self, plan: DaemonPlan, file: LogFile, who: Mapping[str, Any]
    ) -> Callable[[Callable[..., object]], RequestLog]:
        """What makes the log of requests, when there is a loop."""
        form, fmt = _access_form(plan), plan.access_log.fmt
        room, name = ACCESS[form]
        make = getattr(import_module(room), name)
        if form != "journal":
            return lambda later: make(fmt, file, later, who)
        lines = getattr(import_module(ACCESS["text"][0]), ACCESS["text"][1])
        assert self._sink is not None, "it is opened where entries are wanted"
        send = self._sink.send
        return lambda later: make(lines(fmt, file, later, who), later, send, who)

    def close(self) -> None:
        """Let go of all descriptors, where the process goes on."""
        for file in self._files.values():
            file.close()
        if self._sink is not None:
            self._sink.close()
        os.close(self.scoreboard.fd)


def _open_journal() -> Journal:
    sink: Journal = import_module("granian_d.systemd.journal").Journal(os.environ, sealed_memory)
    return sink


def _access_form(plan: DaemonPlan) -> str:
    """Which of ACCESS."""
    return "logging" if plan.log.config else plan.access_log.format
