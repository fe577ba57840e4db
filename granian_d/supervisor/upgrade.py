"""Upgrade in place, the old program's part: have the new one tried, then execute it.

The new program is tried before anything is touched: it starts, imports what workers need, makes a
plan of the configuration and reads the very state that it would be handed. Then this process
becomes it. An execve(2) keeps the process: its id, its children (what asks to die with its parent,
PR_SET_PDEATHSIG, dies with the parent's thread, and there is one that goes on), its descriptors
without FD_CLOEXEC, its blocked signals and those that wait behind them.

Imported with the rest of the master: when it is wanted, another release lies on the disk. The new
program's part is `succession`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from granian_d import __version__
from granian_d.errors import DaemonError
from granian_d.observe.scoreboard import BEAT_NS
from granian_d.plan import encode
from granian_d.supervisor import child, handover
from granian_d.supervisor.handover import FORMAT, VARIABLE, Caller, Handover, HeldGroup, Kin, Passed
from granian_d.supervisor.vocabulary import CheckPassed, UpgradeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from granian_d.supervisor.child import Child, PlannerProcess
    from granian_d.supervisor.os_calls import OsCalls
    from granian_d.supervisor.roster import Roster
    from granian_d.supervisor.vocabulary import StartCheck, Upgrade


class Upgrader:
    """What there is to an upgrade in the old program.

    Args:
        hands: whose.

    Attributes:
        check: the process that tries the program on disk, while it is wanted.
        wanted: it passed; the loop is to call `execute` when all else that is under way is done.
        unseen: workers of the program before, which write on a scoreboard of another layout.
    """

    __slots__ = ("_hands", "_plan", "check", "knowledge", "unseen", "wanted")

    def __init__(self, hands: OsCalls) -> None:
        self._hands = hands
        self._plan = ""  # that the check has made
        self.check: PlannerProcess | None = None
        self.wanted = False
        self.unseen: set[int] = set()
        self.knowledge: Callable[[], tuple[Roster, int]]  # set by the loop: roster and generation

    def start_check(self, _: StartCheck) -> None:
        """Start the program that is on disk now, to prove that it can take over."""
        try:
            state = handover.write(self._gather())
            os.set_inheritable(state, True)
            try:
                command = self._hands.runtime.check_command
                self.check = child.start_planner(lambda fd: command(fd, state))
            finally:
                os.close(state)
        except OSError as error:
            reason = f"cannot start the check: {error.strerror}"
            self._hands.news.append(UpgradeFailed(reason, os.EX_OSERR))
        except DaemonError as error:
            self._hands.news.append(UpgradeFailed(str(error), error.exit_code))
        else:
            self._hands.planners.append(self.check)

    def judge(self, check: PlannerProcess, how: str) -> CheckPassed | UpgradeFailed:
        """The check has ended: what it says, and with it the plan that it has made."""
        self.check = None
        try:
            record = json.loads(bytes(check.answer))
        except ValueError:
            return UpgradeFailed(f"the granian-d on disk gave no answer ({how})", os.EX_SOFTWARE)
        if "plan" not in record:
            return UpgradeFailed(record.get("error", how), record.get("exit_code", os.EX_SOFTWARE))
        self._plan = record["plan"]
        return CheckPassed()

    def vouch(self) -> None:
        """Those whose heartbeat cannot be seen are taken for well."""
        hands = self._hands
        for number in self.unseen & set(hands.children):
            hands.scoreboard.row(hands.children[number].row)[BEAT_NS] = time.monotonic_ns()

    def want(self, _: Upgrade) -> None:
        """Have `execute` called."""
        self.wanted = True

    def execute(self, wakeup: int) -> UpgradeFailed:
        """Become the program on disk. Comes back only if that failed, with everything as it was.

        Args:
            wakeup: descriptor from which signals are read that have come.
        """
        self.wanted = False
        # The new program lets them through when it listens; the kernel keeps them until then.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if self._hands.exporter is not None:
            self._hands.exporter.dismiss()  # the new program's is of its release
        state = self._gather()
        memory = -1
        try:
            memory = handover.write(state)
            for fd in {*state.descriptors, memory}:
                os.set_inheritable(fd, True)
            _send_again(wakeup)
            environ = {**os.environ, **self._hands.notifier.variables(state.pid)}
            environ[VARIABLE] = str(memory)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
        except (OSError, ValueError) as error:
            for fd in set(state.descriptors):
                os.set_inheritable(fd, False)
            if memory != -1:
                os.close(memory)
            return UpgradeFailed(f"cannot execute {sys.executable}: {error}", os.EX_OSERR)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _gather(self) -> Handover:
        """All that the next program needs."""
        hands = self._hands
        roster, generation = self.knowledge()
        listeners = hands.listeners
        held = listeners.held().items()
        waiting = hands.reception.waiting() if hands.reception is not None else ()
        return Handover(
            format=FORMAT,
            version=__version__,
            pid=os.getpid(),
            roster=roster,
            generation=generation,
            kin=tuple(
                _kin(hands, number, one) for number, one in hands.nursery.everybody().items()
            ),
            plans={number: encode(plan) for number, plan in hands.plans.items()},
            listeners={key: tuple(sock.fileno() for sock in socks) for key, socks in held},
            inodes=dict(listeners.inodes()),
            passed=tuple(Passed(name=name, fd=fd) for name, fd in listeners.inherited()),
            scoreboard=hands.scoreboard.fd,
            pid_file=hands.pid_file,
            plan=self._plan,
            tickets=_tickets(hands).decode("ascii"),
            callers=tuple(Caller(fd=fd, change=change) for fd, change in waiting),
            quic_key=hands.datagrams.key.hex() if hands.datagrams is not None else "",
            groups=tuple(_groups(hands)),
        )


def _kin(hands: OsCalls, number: int, one: Child) -> Kin:
    return Kin(
        number=number,
        pid=one.pid,
        channel=one.channel.fileno(),
        row=one.row,
        slot=one.slot,
        generation=one.generation,
        seat=hands.datagrams.seat(number) if hands.datagrams is not None else -1,
    )


def _groups(hands: OsCalls) -> Iterator[HeldGroup]:
    held = hands.datagrams.held() if hands.datagrams is not None else {}
    for key, groups in held.items():
        for group in groups:
            fds = tuple(sock.fileno() for sock in group.sockets)
            yield HeldGroup(key=key, sockets=fds, shared=group.shared)


def _tickets(hands: OsCalls) -> bytes:
    """The key of session tickets of the committed generation; b"" for none."""
    if hands.certificates is None or (plan := hands.committed) is None:
        return b""
    from granian_d.supervisor.certificates import encode_tickets  # noqa: PLC0415 - it is there

    tickets = hands.certificates.tickets(plan.tls)
    return b"" if tickets is None else encode_tickets(tickets)


def _send_again(wakeup: int) -> None:
    """Signals that have come and were not answered yet come again, to whoever unblocks them."""
    try:
        for number in os.read(wakeup, 512):
            os.kill(os.getpid(), number)
    except BlockingIOError:
        return
