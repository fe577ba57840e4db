"""Upgrade in place, the new program's part: take over what the last one of this process handed.

Imported when there is something to take over. The old program's part is `upgrade`.
"""

from __future__ import annotations

import os
import socket
from importlib import import_module
from typing import TYPE_CHECKING

from granian_d import __version__
from granian_d.control.channel import Channel
from granian_d.errors import DaemonError
from granian_d.observe.scoreboard import PID, Scoreboard
from granian_d.supervisor import handover as handovers
from granian_d.supervisor.child import UNBORN, Child
from granian_d.supervisor.listeners import all_of
from granian_d.supervisor.nursery import NO_ROW
from granian_d.supervisor.os_calls import DATAGRAMS
from granian_d.supervisor.vocabulary import MoldExited, Report, WorkerExited
from granian_d.systemd.activation import InheritedSocket

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.handover import Handover, Kin
    from granian_d.supervisor.os_calls import OsCalls

UNSEEN = "an end that nobody saw"


def receive(environ: MutableMapping[str, str], pid: int) -> Handover | None:
    """What the last program of this process left, None if it is not meant for this process.

    Forgets the variable, and lets no child have the descriptors.

    Raises:
        DaemonError: it cannot be gone on from.
    """
    value = environ.pop(handovers.VARIABLE)
    if not value.isascii() or not value.isdigit():
        return None
    fd = int(value)
    try:
        handover = handovers.read(fd)
        if handover.pid != pid:
            return None
        for one in (fd, *handover.descriptors):
            os.set_inheritable(one, False)
        os.close(fd)
    except OSError as error:
        raise DaemonError(f"what was handed over is not open: {error.strerror}") from error
    return handover


def sockets(handover: Handover) -> tuple[InheritedSocket, ...]:
    """Those that the service manager had passed."""
    return tuple(InheritedSocket(one.name, one.fd) for one in handover.passed)


def scoreboard(handover: Handover) -> Scoreboard:
    """The one on which the workers write; if this release cannot read it, a new one."""
    rows = [one.row for one in handover.kin if one.row >= 0]
    try:
        return Scoreboard(handover.scoreboard, rows)
    except ValueError:
        board = Scoreboard()
        os.close(handover.scoreboard)  # only now: a descriptor of another number tells them apart
        return board


def adopt(hands: OsCalls, handover: Handover) -> list[WorkerExited | MoldExited]:
    """Go on with everything; the ends of children that nobody has seen, and nobody will."""
    listeners = handover.listeners.items()
    held = {key: tuple(socket.socket(fileno=fd) for fd in fds) for key, fds in listeners}
    hands.listeners.adopt(held, handover.inodes)
    hands.pid_file = handover.pid_file
    _adopt_tickets(hands, handover.tickets.encode("ascii"))
    if handover.quic_key:
        hands.datagrams = import_module(DATAGRAMS).resume(hands, handover)
    for one in handover.kin:
        _adopt_child(hands, one, handover)
    for generation, plan in sorted(handovers.plans_of(handover).items()):
        try:
            _adopt_plan(hands, generation, plan)
        except DaemonError as error:
            hands.do(Report("config_warning", {"reason": str(error)}))
    waiting = [(one.fd, one.change) for one in handover.callers]
    if committed := hands.committed:
        hands.open_reception(committed.master.control_socket, waiting)
        hands.export_metrics(committed)
    pid = handover.pid
    hands.do(Report("starting", {"version": __version__, "pid": pid}))
    before = handover.version
    hands.do(Report("upgraded", {"before": before, "version": __version__, "pid": pid}))
    roster = handover.roster
    known = hands.nursery.everybody()
    lost = [WorkerExited(number, UNSEEN) for number in roster.workers if number not in known]
    return lost + [MoldExited(number, UNSEEN) for number in roster.molds if number not in known]


def _adopt_child(hands: OsCalls, one: Kin, handover: Handover) -> None:
    """Watch a child again; it may have ended, but nobody else can have reaped it.

    Who writes on a scoreboard of another layout is given a row that stays empty.
    """
    channel = Channel(socket.socket(fileno=one.channel))
    try:
        pidfd = os.pidfd_open(one.pid) if one.pid != UNBORN else -1
    except OSError:
        channel.close()
        return
    row = one.row
    if hands.scoreboard.fd != handover.scoreboard and row != NO_ROW:
        row = hands.scoreboard.take(one.slot, one.generation)
        hands.scoreboard.row(row)[PID] = one.pid
        hands.upgrader.unseen.add(one.number)
    worker = handover.roster.workers.get(one.number)
    hands.nursery.take_over(
        one.number,
        Child(one.pid, pidfd, channel, row, one.slot, one.generation),
        heir=worker is not None and worker.heir,
        mold=worker.mold if worker is not None else 0,
    )
    if hands.datagrams is not None and one.seat >= 0:
        takes = worker is not None and worker.state == "ready"
        hands.datagrams.resume(one.number, one.seat, takes=takes)


def _adopt_plan(hands: OsCalls, generation: int, plan: DaemonPlan) -> None:
    """Make a plan usable again.

    Raises:
        DaemonError: a log file or a certificate cannot be used any more. Without its plan a
            generation lives on as it is.
    """
    hands.runtime.open_logs(plan)
    hands.adopt_certificates(plan)
    hands.plans[generation] = plan
    hands.runtime.adopt_logs(plan)
    hands.runtime.set_title(f"granian-d: master [{plan.master.process_name}]")
    hands.runtime.warm(plan)
    if plan.pool.preload:
        hands.runtime.adopt_orphans()
    hands.listeners.keep(all_of(plan))
    hands.safekeeping.begin(hands.scoreboard)


def _adopt_tickets(hands: OsCalls, octets: bytes) -> None:
    if octets:
        from granian_d.supervisor.certificates import decode_tickets  # noqa: PLC0415 - for TLS

        hands.safekeeping.give_tickets(decode_tickets(octets))
