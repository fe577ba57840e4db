"""The exporter of metrics: a child of the master that reads the scoreboard and answers who asks.

Imported where a plan has metrics. It is no worker: nothing is decided about it, it is only kept.
Who dies has a successor, later and later if that goes on. The listening socket is the master's, so
none of this refuses anybody.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from granian_d.supervisor import child, policy
from granian_d.supervisor.listeners import all_of, describe
from granian_d.supervisor.vocabulary import Report

if TYPE_CHECKING:
    import socket

    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.os_calls import OsCalls

NOBODY: Final = 0


class Exporter:
    """The one that there is, or should be, and those before it that have not gone yet.

    Args:
        house: whose child it is.

    Attributes:
        pid: of it; NOBODY while there is none.
        pids: of all of them, by pidfd.
    """

    __slots__ = ("_deaths", "_house", "_not_before", "_plan", "_since", "pid", "pids")

    def __init__(self, house: OsCalls) -> None:
        self._house = house
        self._plan: DaemonPlan | None = None  # that there should be one of
        self._deaths = 0  # in a row
        self._not_before = 0.0
        self._since = 0.0
        self.pid = NOBODY
        self.pids: dict[int, int] = {}

    @property
    def address(self) -> str:
        """Where it is asked; "" for nowhere."""
        sock = self._listener()
        return f"{describe(sock)}/metrics" if sock is not None else ""

    def follow(self, plan: DaemonPlan) -> None:
        """Have one of this plan; one that would be no other stays."""
        if self._plan is None or _traits(self._plan) != _traits(plan):
            self.dismiss()
            self._deaths, self._not_before = 0, 0.0
        self._plan = plan if plan.metrics is not None else None
        self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Fork one if there should be one, and may."""
        listener, plan, house = self._listener(), self._plan, self._house
        if self.pid or plan is None or listener is None or now < self._not_before:
            return

        def live() -> int:
            kept = listener.dup()
            house.let_go(())
            return house.runtime.export(plan, kept, house.master_pid)

        try:
            self.pid, pidfd = child.fork(live)
        except OSError as error:  # no process, descriptor or memory left
            self._set_back(now, f"a failed fork ({error.strerror})")
            return
        self._since = now
        self.pids[pidfd] = self.pid
        house.report(Report("exporter_spawned", {"pid": self.pid, "address": self.address}))

    def ended(self, pidfd: int, now: float) -> None:
        """A pidfd is readable: who had it has gone. The loop does not watch it any more."""
        pid = self.pids.pop(pidfd)
        how = child.reap(pid)
        os.close(pidfd)
        if pid == self.pid:
            if now - self._since >= policy.STABLE_S:
                self._deaths = 0
            self._set_back(now, how)
            self.pid = NOBODY
            self.look(now)

    def dismiss(self) -> None:
        """Tell it to finish its answers and leave; `look` forks its successor."""
        for pidfd, pid in self.pids.items():
            if pid == self.pid:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        self.pid = NOBODY

    def end(self) -> None:
        """The daemon leaves: nobody must find its address taken by what is left of this one."""
        self._plan = None
        for pidfd, pid in self.pids.items():
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            child.reap(pid)
        self.let_go()
        self.pids.clear()

    def let_go(self) -> None:
        """In a child: they are the master's."""
        for pidfd in self.pids:
            os.close(pidfd)

    def _set_back(self, now: float, how: str) -> None:
        self._deaths += 1
        delay_s = policy.respawn_delay_s(self._deaths)
        self._not_before = now + delay_s
        fields = {"pid": self.pid, "how": how, "delay_s": delay_s}
        self._house.report(Report("exporter_died", fields))

    def _listener(self) -> socket.socket | None:
        """The open one of its plan: none when the service stops."""
        key = all_of(self._plan)[-1].key if self._plan is not None else ""
        return next(iter(self._house.listeners.held().get(key, ())), None)


def _traits(plan: DaemonPlan) -> tuple[Any, ...]:
    """What of a plan makes another exporter."""
    worker = plan.worker
    return (plan.metrics, plan.log, worker.identity, worker.loop, worker.engine, worker.limits)
