"""Workers and molds: how they come to be, what the master holds of each, and how it is let go.

A worker is forked by the master itself, or by a mold: a child that has imported the application.
What a mold forks becomes the master's own child all the same (the mold forks twice, and the master
takes in orphans, PR_SET_CHILD_SUBREAPER of prctl(2)); until it says who it is, it has no pid here.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.control.channel import Channel, Drain, Fork, Post
from granian_d.observe.scoreboard import PID
from granian_d.supervisor import child
from granian_d.supervisor.child import UNBORN, Child
from granian_d.supervisor.vocabulary import (
    CLEAN_EXIT,
    DismissMold,
    DrainWorker,
    KillWorker,
    MoldExited,
    Report,
    Spawn,
    StartMold,
    WorkerExited,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Container

    from granian_d.control.channel import Berth
    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.os_calls import OsCalls

# What a hasty drain grants an idle connection: nobody will answer its next request anyway, and a
# request that is on its way arrives within a round trip.
HASTY_IDLE_S: Final = 2.0

MOLD_SLOT: Final = 0  # of a Post: whoever gets it is a mold
NO_ROW: Final = -1  # a mold counts nothing
NOT_BORN: Final = "no birth: its mold did not get to forking it"
# Of one mold. More would have to fit into the wire, and their descriptors into what a user may have
# in flight (RLIMIT_NOFILE, unix(7)); a fork takes a few milliseconds.
ORDERS_AT_ONCE: Final = 16
PIDS: Final = 1 << 22  # PID_MAX_LIMIT of Linux


class _Order(NamedTuple):
    """A fork that a mold has to be told of."""

    mold: int
    fork: Fork
    channel: Channel  # the worker's end
    sockets: tuple[socket.socket, ...]  # to listen and to read at
    mailbox: socket.socket | None

    def close(self) -> None:
        """Let go of what is the worker's alone."""
        self.channel.close()
        if self.mailbox is not None:
            self.mailbox.close()


class Nursery:
    """The children that the master has, by number.

    Attributes:
        children: workers, until they are reaped; one that is not born yet has no pid.
        molds: molds, likewise.
        pids: by number; they outlive the child for as long as its end is reported.
    """

    __slots__ = (
        "_doomed",
        "_expected",
        "_heirs",
        "_house",
        "_orders",
        "children",
        "molds",
        "pids",
    )

    def __init__(self, house: OsCalls) -> None:
        self._house = house
        self.children: dict[int, Child] = {}
        self.molds: dict[int, Child] = {}
        self.pids: dict[int, int] = {}
        self._heirs: dict[int, bool] = {}  # workers told to become molds, and if they still should
        self._doomed: set[int] = set()  # to be killed as soon as they have a pid
        self._orders: list[_Order] = []  # not sent yet
        self._expected: defaultdict[int, set[int]] = defaultdict(set)  # by mold: who is not born

    def everybody(self) -> dict[int, Child]:
        """Workers and molds, by number."""
        return {**self.children, **self.molds}

    def find(self, number: int) -> Child:
        """A worker or a mold."""
        return self.children.get(number) or self.molds[number]

    def take_over(self, number: int, one: Child, *, heir: bool, mold: int) -> None:
        """Go on with a child of this process' last program.

        Args:
            number: of it.
            one: what is held of it.
            heir: it was told to become a mold.
            mold: that forks it, if it is not born yet.
        """
        (self.molds if one.slot == MOLD_SLOT else self.children)[number] = one
        if heir:
            self._heirs[number] = True
        if one.pid == UNBORN:
            self._expected[mold].add(number)
        else:
            self.pids[number] = one.pid

    def let_go(self) -> None:
        """In a child: nobody here is its own."""
        for sibling in self.everybody().values():
            sibling.close()
        for order in self._orders:
            order.close()

    @property
    def expecting(self) -> bool:
        """A worker is on its way of which only its mold knows who it is."""
        return any(worker.pid == UNBORN for worker in self.children.values())

    # --- the beginning -------------------------------------------------------------------------

    def spawn(self, command: Spawn) -> None:
        """Fork a worker, or have it forked."""
        try:
            if command.mold:
                self._order(command)
            else:
                self._fork_worker(command)
        except OSError as error:  # no process, descriptor or memory left
            reason = error.strerror or str(error)
            self._rise(command.worker)
            self._house.news.append(WorkerExited(command.worker, f"a failed fork ({reason})"))

    def start_mold(self, command: StartMold) -> None:
        """Fork a mold."""
        number, generation = command.mold, command.generation
        try:
            self.molds[number] = self._fork(number, MOLD_SLOT, generation, NO_ROW)
        except OSError as error:
            how = f"a failed fork ({error.strerror})"
            self._house.news.append(MoldExited(number, how))
            return
        pid = self.pids[number]
        self._house.report(Report("mold_spawned", {"generation": generation, "pid": pid}))

    def _fork_worker(self, command: Spawn) -> None:
        row = self._house.scoreboard.take(command.slot, command.generation)
        try:
            born = self._fork(command.worker, command.slot, command.generation, row)
        except OSError:
            self._house.scoreboard.release(row)
            raise
        self.children[command.worker] = born
        self._report_birth(born)

    def _fork(self, number: int, slot: int, generation: int, row: int) -> Child:
        plan, listeners, contexts = self._house.supplies(generation)
        master_pid = self._house.master_pid
        ours, theirs = Channel.pair()
        post = Post(number, slot, generation, row, master_pid, theirs, listeners, contexts)
        berth = None

        def live() -> int:
            ours.close()
            return self._house.live(plan, post._replace(berth=berth))

        try:
            berth = self._berth(number, slot, plan)
            pid, pidfd = child.fork(live)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            if berth is not None:
                berth.mailbox.close()
        self.pids[number] = pid
        return Child(pid, pidfd, ours, row, slot, generation)

    def _berth(self, number: int, slot: int, plan: DaemonPlan) -> Berth | None:
        """Where a worker reads datagrams, or for a mold what its workers' berths are like.

        Raises:
            OSError: a socket cannot be had.
        """
        datagrams = self._house.datagrams
        if datagrams is None:
            return None
        return datagrams.pattern(plan) if slot == MOLD_SLOT else datagrams.sit(number, plan)

    def _rise(self, number: int, *, died: bool = False) -> None:
        """A worker has gone, or will not be: nobody sits at its berth."""
        if self._house.datagrams is not None:
            self._house.datagrams.rise(number, died=died)

    def _order(self, command: Spawn) -> None:
        """Have a mold fork a worker."""
        if command.mold not in self.molds:
            raise OSError(errno.ESRCH, "its mold has gone")
        number, slot, generation = command.worker, command.slot, command.generation
        plan, listening, _ = self._house.supplies(generation)
        with ExitStack() as undo:
            ours, theirs = Channel.pair()
            undo.callback(ours.close)
            undo.callback(theirs.close)
            row = self._house.scoreboard.take(slot, generation)
            undo.callback(self._house.scoreboard.release, row)
            berth = self._berth(number, slot, plan)
            undo.pop_all()
        self.children[number] = Child(UNBORN, -1, ours, row, slot, generation)
        sockets = tuple(sock for _, sock in listening)
        order = Fork(number, slot, row)
        if berth is not None:
            order = order._replace(seat=berth.seat)
            sockets += (*(sock for _, sock, _ in berth.sockets), berth.mailbox)
        mailbox = berth.mailbox if berth is not None else None
        self._orders.append(_Order(command.mold, order, theirs, sockets, mailbox))
        self._send_orders(command.mold)

    def _send_orders(self, number: int) -> None:
        """Send a mold what it is to do, as much at once as surely fits into the wire.

        The sockets ride along: a mold holds none, so none is kept open by it. An order that cannot
        be sent ends as one that cannot be obeyed: by the end of the worker's channel.
        """
        waiting = [order for order in self._orders if order.mold == number]
        mold = self.molds.get(number)
        under_way = self._expected[number]
        for order in waiting:
            if mold is not None and len(under_way) >= ORDERS_AT_ONCE:
                return
            self._orders.remove(order)
            worker = order.fork.worker
            if mold is not None and worker in self.children and worker not in self._doomed:
                fds = [order.channel.fileno(), *(sock.fileno() for sock in order.sockets)]
                if mold.channel.send(order.fork, fds):
                    under_way.add(worker)
            order.close()

    def _stop_expecting(self, number: int) -> None:
        """A worker has been born, or will not be: its mold may have the next order."""
        for mold, under_way in list(self._expected.items()):
            if number in under_way:
                under_way.discard(number)
                self._send_orders(mold)

    def adopt(self, number: int, pid: int, known: Container[int]) -> bool:
        """Whoever a mold has forked says who it is. False: that is not so.

        A mold runs the application's code, maybe as somebody who may do less than the master: its
        word must not make the master watch, and one day kill, a stranger.

        Args:
            number: of the worker.
            pid: that it claims.
            known: pids of the master's children that somebody else is.
        """
        if not 0 < pid < PIDS or pid in known:
            return False
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            pidfd = os.pidfd_open(pid)
        except OSError:  # it is no child of ours, or has gone
            return False
        born = self.children[number] = self.children[number]._replace(pid=pid, pidfd=pidfd)
        self.pids[number] = pid
        self._report_birth(born)
        self._stop_expecting(number)
        if number in self._doomed:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True

    def _report_birth(self, born: Child) -> None:
        self._house.scoreboard.row(born.row)[PID] = born.pid
        self._house.report(Report("worker_spawned", {"worker": born.slot, "pid": born.pid}))

    def serves(self, number: int) -> None:
        """A worker is ready."""
        if self._house.datagrams is not None:
            self._house.datagrams.join(number)

    def become_mold(self, number: int) -> bool:
        """A worker says that it is a mold now, if it should. False: nobody has ever told it to."""
        if number in self.molds:
            return True
        if self._heirs.get(number):
            heir = self.children.pop(number)
            self._house.scoreboard.release(heir.row)
            self._rise(number)
            self.molds[number] = heir._replace(row=NO_ROW, slot=MOLD_SLOT)
        return number in self._heirs

    # --- the end -------------------------------------------------------------------------------

    def drain(self, command: DrainWorker) -> None:
        """Tell a worker to finish, and to leave or to become a mold."""
        if self._house.datagrams is not None:
            self._house.datagrams.leave(command.worker)  # first: what is new is not for it
        if command.heir or command.worker in self._heirs:
            self._heirs[command.worker] = command.heir
        idle_s = HASTY_IDLE_S if command.hasty else None
        order = Drain(
            command.budget_s,
            idle_s,
            restarting=not command.hasty,
            stream_s=command.stream_s,
            heir=command.heir,
        )
        self.children[command.worker].channel.send(order)

    def dismiss(self, command: DismissMold) -> None:
        """Tell a mold to leave, if it has not gone."""
        if (mold := self.molds.get(command.mold)) is not None:
            mold.channel.hang_up()

    def kill(self, command: KillWorker) -> None:
        """End a worker or a mold.

        One that is not born yet has no pid. After `hang_up` it has said who it is, which is still
        heard, or it cannot any more, and ends by itself.
        """
        number, doomed = command.worker, self.find(command.worker)
        if number in self._heirs:
            self._heirs[number] = False
        if doomed.pid == UNBORN:
            self._doomed.add(number)
            doomed.channel.hang_up()
        else:
            signal.pidfd_send_signal(doomed.pidfd, getattr(signal, f"SIG{command.signal}"))

    def forget(self, number: int, how: str) -> WorkerExited | MoldExited:
        """A worker or a mold is gone and reaped, or never was: let go of what was held of it."""
        self._heirs.pop(number, None)
        self._doomed.discard(number)
        if number in self.molds:
            gone = self.molds.pop(number)
            gone.close()
            self._send_orders(number)  # to nobody
            self._expected.pop(number, None)
            return MoldExited(number, how, gone.pid)
        gone = self.children.pop(number)
        self._house.tell_what_it_held(gone)
        gone.close()
        self._house.scoreboard.release(gone.row)
        self._rise(number, died=how != CLEAN_EXIT)
        self._stop_expecting(number)
        return WorkerExited(number, how, gone.pid)
