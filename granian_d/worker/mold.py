"""A mold: it holds the imported application and forks the workers that serve it.

No loop, no thread: it waits in one poll(2) for orders of the master. Each worker that it forks is
the master's child, not its own: the mold forks a process that forks the worker and ends at once, so
the kernel gives the worker to the master.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from granian_d.control.channel import (
    ORDER_FDS,
    Berth,
    Born,
    Channel,
    Drain,
    Fork,
    Gone,
    Pin,
    Post,
    Renew,
    Reopen,
)
from granian_d.errors import ConfigError
from granian_d.worker import doors, identity, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from granian_d.plan import DaemonPlan
    from granian_d.worker.desk import Desk

UNWANTED: Final = 1  # exit status of a worker that nobody waits for any more
JOINED_S: Final = 0.5  # for the kernel to take away threads that Python has joined


class Mold:
    """Waits for orders. `wait` returns once in each worker that is forked, and once in the mold.

    Args:
        plan: of its generation, and so of all of its workers.
        post: its own.
        desk: its own.
        alone: is told True before a fork and False after it: what a child of this process lets go
            of by itself is what one that the application forks must not have.
    """

    def __init__(
        self, plan: DaemonPlan, post: Post, desk: Desk, alone: Callable[[bool], None]
    ) -> None:
        self._plan = plan
        self._post = post
        self._desk = desk
        self._alone = alone
        self._contexts = post.contexts

    def wait(self) -> Post | None:
        """Obey until dismissed (None), or, in a worker, until born: its post."""
        poll = select.poll()
        poll.register(self._post.channel.fileno(), select.POLLIN)
        while True:
            poll.poll()
            try:
                received = self._post.channel.receive(ORDER_FDS)
            except Gone:
                return None
            if received is None:
                continue
            message, fds = received
            if isinstance(message, Fork):
                if (post := self._fork(message, fds)) is not None:
                    return post
            elif isinstance(message, Reopen):
                self._desk.reopen(message.path, fds)
            elif isinstance(message, Renew):
                self._renew(fds)
            elif isinstance(message, Pin):
                self._pin(message.ticket)
            elif isinstance(message, Drain) and not message.heir:
                return None  # the order that made a mold of this worker has been taken back

    def _pin(self, ticket: int) -> None:
        """Import what is left, for the workers to come."""
        from granian_d.control import pinning  # noqa: PLC0415 - wanted before an upgrade only

        names = list(pinning.pin(pinning.OF_WORKER))
        self._post.channel.answer(ticket, pinning.told(names))

    def _renew(self, fds: Sequence[int]) -> None:
        """Workers to come begin with the new certificates."""
        try:
            self._contexts = doors.read_contexts(self._plan.tls, fds) or self._contexts
        except (ConfigError, OSError) as error:
            self._desk.log.event("tls_renewal_failed", reason=str(error))

    def _fork(self, order: Fork, fds: list[int]) -> Post | None:
        """Fork a worker: its post to the worker, None to the mold."""
        flush()
        if self._fork_twice(order):
            return self._be_born(order, fds)
        for fd in fds:  # if there is no worker, the end of its channel tells the master
            os.close(fd)
        return None

    def _fork_twice(self, order: Fork) -> bool:
        """True in the worker, False in the mold, never in the process between."""
        self._alone(True)
        try:
            between = os.fork()
            if between == 0:
                _fork_and_leave()
                return True
            status = _reap(between)
        except OSError as error:
            status = error.strerror or str(error)
        finally:
            self._alone(False)
        if status:
            self._desk.log.event("mold_fork_failed", slot=order.slot, reason=status)
        return False

    def _be_born(self, order: Fork, fds: list[int]) -> Post:
        """In a worker: be the master's child, and tell it."""
        mold = self._post
        mold.channel.close()
        entries = [entry for entry, _ in mold.listeners]
        end, *sockets = [socket.socket(fileno=fd) for fd in fds]
        for sock in sockets:
            sock.setblocking(False)
        channel = Channel(end)
        _wait_for(mold.master_pid)
        # Without a master, or to one that does not expect it any more, this worker is nobody.
        if not identity.die_with(mold.master_pid) or not channel.send(Born(os.getpid())):
            os._exit(UNWANTED)
        return mold._replace(
            worker=order.worker,
            slot=order.slot,
            row=order.row,
            channel=channel,
            listeners=tuple(zip(entries, sockets[: len(entries)], strict=True)),
            contexts=self._contexts,
            berth=_berth(mold.berth, order.seat, sockets[len(entries) :]),
        )


def _berth(pattern: Berth | None, seat: int, sockets: Sequence[socket.socket]) -> Berth | None:
    """That of a worker; `pattern` tells what each socket is for."""
    if pattern is None or not sockets:
        return None
    *reading, mailbox = sockets
    kinds = [(entry, shared) for entry, _, shared in pattern.sockets]
    mine = zip(kinds, reading, strict=True)
    named = tuple((entry, sock, shared) for (entry, shared), sock in mine)
    return pattern._replace(seat=seat, sockets=named, mailbox=mailbox)


def settle(desk: Desk, known: Container[str]) -> None:
    """Make this process, which holds the application, one that can be forked.

    Args:
        desk: where is told what a fork does not copy well.
        known: those of `sockets()` before the application was touched.
    """
    if names := threads():
        desk.log.event("mold_threads", threads=", ".join(names))
    if opened := [_describe(fd) for inode, fd in sockets().items() if inode not in known]:
        desk.log.event("mold_sockets", sockets=", ".join(opened))
    # A loop that was here has taken its handlers along.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, _leave_it_to_the_master)
    flush()
    memory.share()


def threads() -> list[str]:
    """The names of all threads but this one, those that Python does not know included."""
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    tasks = sorted(map(int, os.listdir("/proc/self/task")))
    ours = threading.get_native_id()
    return [known.get(task) or _comm(task) for task in tasks if task != ours]


def lasting_threads() -> list[str]:
    """Those of `threads` that are not about to end: the kernel has a joined one a moment longer."""
    end = monotonic() + JOINED_S
    while (names := threads()) and threading.active_count() == 1 and monotonic() < end:
        os.sched_yield()
    return names


def _comm(task: int) -> str:
    """The kernel's name of a thread."""
    try:
        with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return f"thread {task}"  # it has just ended


def sockets() -> dict[str, int]:
    """The sockets of this process: a descriptor of each, by what the kernel calls it."""
    found = {}
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            name = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # that of the listing itself
        if name.startswith("socket:"):
            found[name] = fd
    return found


def _describe(fd: int) -> str:
    """Family and addresses of a socket."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        family = getattr(sock.family, "name", sock.family)
        return f"{family} {_address(sock.getsockname)} - {_address(sock.getpeername)}"


def _address(ask: Callable[[], object]) -> str:
    try:
        address = ask()
    except OSError:
        return "nobody"  # it is not connected
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    return str(address) or "unnamed"


def flush() -> None:
    """Write what the application has printed: children would write it again."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _fork_and_leave() -> None:
    """In the process between: fork the worker, which returns, and end."""
    try:
        if os.fork():
            os._exit(0)
    except BaseException:  # noqa: BLE001 - nobody is above it: the frames there are the mold's
        os._exit(os.EX_OSERR)


def _reap(between: int) -> str:
    """Wait for the end of the process between; what has gone wrong, or ""."""
    try:
        _, status = os.waitpid(between, 0)
    except ChildProcessError:
        return ""  # the application has SIGCHLD ignored: the kernel has reaped it
    return "no process can be had" if status else ""


def _wait_for(master_pid: int) -> None:
    """Return when this process has a new parent, because the old one has ended.

    The kernel gives orphans away before it wakes those who wait on the pidfd of the dead.
    """
    between = os.getppid()
    if between == master_pid:
        return
    try:
        pidfd = os.pidfd_open(between)
    except ProcessLookupError:
        return
    if os.getppid() == between:  # else the pidfd may be that of a stranger
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
    os.close(pidfd)


def _leave_it_to_the_master(_number: int, _frame: object) -> None:
    """The master dismisses molds; a SIGTERM is meant for it."""
