"""Making children: fork a worker, start the planner. What a child must not inherit ends here."""

from __future__ import annotations

import _signal  # signal makes a member of an enumeration of each number: 100 KiB in every worker
import fcntl
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.control.channel import DUMP_SIGNAL
from granian_d.errors import DaemonError
from granian_d.supervisor.vocabulary import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from granian_d.control.channel import Channel

# The answer is read when the planner has ended, so all of it must fit into the pipe.
ANSWER_BYTES: Final = 1 << 20

_ALL: Final = _signal.valid_signals()
_HANDLED: Final = (*(int(getattr(signal, f"SIG{name}")) for name in SIGNALS), int(DUMP_SIGNAL))

UNBORN: Final = 0  # the pid of one whose mold has not forked it yet


class Child(NamedTuple):
    """A worker or a mold as the loop sees it.

    Attributes:
        pid: UNBORN until whoever was forked by a mold has said who it is.
        pidfd: of that pid; -1 without one.
        channel: the master's end of the wire to it.
        row: its row of the scoreboard; -1 for a mold.
        slot: its place; 0 for a mold.
        generation: whose application it has.
    """

    pid: int
    pidfd: int
    channel: Channel
    row: int
    slot: int
    generation: int

    def close(self) -> None:
        """Let go of the descriptors."""
        self.channel.close()
        if self.pid != UNBORN:
            os.close(self.pidfd)


class PlannerProcess:
    """One run of the planner: what it writes on `fd` is its answer."""

    __slots__ = ("answer", "fd", "pid", "pidfd")

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.fd = fd
        self.answer = bytearray()

    def read(self) -> None:
        """Take what it has written."""
        try:
            while part := os.read(self.fd, ANSWER_BYTES):
                self.answer += part
        except BlockingIOError:
            return

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self.fd)
        os.close(self.pidfd)


def fork(run: Callable[[], int]) -> tuple[int, int]:
    """Fork a child that runs `run` and exits with what it returns.

    Signals are held back across the fork, so that none reaches the child while it still has the
    master's handlers.

    Returns:
        (pid, pidfd) of the child, to the parent.
    """
    before = _signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    try:
        pid = os.fork()
        if pid == 0:
            _live(run, before)
    finally:
        _signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:  # a child that cannot be watched must not live
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _live(run: Callable[[], int], mask: set[int]) -> None:
    """The child's whole life. Never returns into the master's code."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            # Not SIG_IGN, which would pass on to programs that the application starts.
            _signal.signal(number, _ignore)
        _signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = run()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - the border of the process: nothing is above it
        traceback.print_exc()
    finally:
        _leave(code)


def _leave(code: int) -> None:
    """Exit without the frames above, which are the master's, whatever goes wrong on the way out."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    finally:
        os._exit(code)


def _ignore(_number: int, _frame: object) -> None:
    """The master coordinates; what the terminal sends to the whole group is meant for it."""


def start_planner(command: Callable[[int], Sequence[str]], stdin: int = -1) -> PlannerProcess:
    """Start the planner as a new program: it judges with the code that is on disk now.

    Args:
        command: gives the command line, knowing the descriptor to answer on.
        stdin: descriptor of its standard input; -1 for our own.

    Raises:
        OSError: it cannot be started.
        DaemonError: of `command`.
    """
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, ANSWER_BYTES)
    os.set_blocking(reading, False)
    os.set_inheritable(writing, True)
    default = [signal.SIGPIPE, signal.SIGXFSZ]  # CPython ignores them; a program expects not
    streams = [(os.POSIX_SPAWN_DUP2, stdin, 0)] if stdin != -1 else []
    try:
        argv = list(command(writing))
        pid = os.posix_spawn(
            argv[0], argv, os.environ, file_actions=streams, setsigdef=default, setsigmask=[]
        )
    except (OSError, DaemonError):
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        return PlannerProcess(pid, reading)
    except OSError:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def reap(pid: int) -> str:
    """Collect an exited child and say how it ended: "exit status 3", "SIGKILL", "signal 40"."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return "an unknown status"  # somebody else has collected it
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # most real-time signals have no name
        return f"signal {-code}"


def reap_strangers(ours: Container[int]) -> None:
    """Collect exited children that are not ours: as PID 1 we inherit other people's."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        while (exited := os.waitid(os.P_ALL, 0, flags)) is not None and exited.si_pid not in ours:
            os.waitpid(exited.si_pid, 0)
    except ChildProcessError:
        return  # no children at all
