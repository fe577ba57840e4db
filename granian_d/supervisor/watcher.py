"""The master's part of watching files: have the watcher run, and hear what it says.

A change is a reload like any other; one that comes during a reload waits for its end, so that a
file that is written all the time keeps nobody from new code. The watcher is a child that is neither
worker nor mold; one that dies is started again, and as nobody knows what it has missed, the next
one begins with a reload.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from granian_d.control.channel import Changed, Channel, Failed, Gone, Watching
from granian_d.supervisor import child, policy
from granian_d.supervisor.vocabulary import Report, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.os_calls import OsCalls

NOBODY: Final = -1


class Watcher:
    """The child that watches, and what has become of those before it.

    Attributes:
        pid: of the child; NOBODY without one.
    """

    __slots__ = (
        "_channel",
        "_closing",
        "_deaths",
        "_due",
        "_house",
        "_missed",
        "_not_before",
        "_pidfd",
        "_plan",
        "_reason",
        "pid",
    )

    def __init__(self, house: OsCalls) -> None:
        self._house = house
        self._plan: DaemonPlan | None = None
        self._channel: Channel | None = None
        self._closing: list[Channel] = []  # until the loop has let go of their descriptors
        self._pidfd = -1
        self._deaths = 0
        self._not_before = 0.0
        self._due = False  # a reload, when the one that is under way is over
        self._missed = False  # files may have changed while nobody watched
        self._reason = ""
        self.pid = NOBODY

    def fileno(self) -> int:
        """The descriptor to be heard, -1 for none."""
        return -1 if self._channel is None else self._channel.fileno()

    def follow(self, plan: DaemonPlan) -> None:
        """Have watched what this plan wants, from now on."""
        before, self._plan = self._plan, plan
        if before is None or _wish(before) != _wish(plan):
            self._end()
            self._missed = before is not None
            self._deaths = 0
            self._not_before = 0.0
        wants = plan.watch is not None and self._channel is None
        if wants and time.monotonic() >= self._not_before:
            self._start(plan)
        if self._due and not self._house.changing:
            self._due = False
            self._house.news.append(Wanted("reload"))

    def hear(self) -> Iterator[Wanted]:
        """What the child says."""
        assert self._channel is not None
        channel, plan = self._channel, self._plan
        assert plan is not None
        assert plan.watch is not None
        try:
            while channel is self._channel and (received := channel.receive()) is not None:
                message, _ = received
                if isinstance(message, Changed):
                    self._house.report(Report("changes_detected", {"files": message.files}))
                    if self._house.changing:
                        self._due = True
                    else:
                        yield Wanted("reload")
                elif isinstance(message, Watching):
                    paths = ", ".join(plan.watch.paths)
                    self._house.report(Report("watching", {"paths": paths}))
                    if self._missed:
                        self._missed = False
                        yield Wanted("reload")
                elif isinstance(message, Failed):
                    self._reason = message.reason
        except Gone:
            self._lost()

    def tidy(self) -> None:
        """The loop listens to nobody any more whom it should not."""
        for channel in self._closing:
            channel.close()
        self._closing.clear()

    def let_go(self) -> None:
        """In a child: this is the master's."""
        for channel in filter(None, (self._channel, *self._closing)):
            channel.close()
        if self._pidfd != -1:
            os.close(self._pidfd)

    def _start(self, plan: DaemonPlan) -> None:
        house = self._house
        ours, theirs = Channel.pair()

        def live() -> int:
            ours.close()
            house.let_go(())
            return house.runtime.watch(plan, theirs, house.master_pid)

        try:
            self.pid, self._pidfd = child.fork(live)
        except OSError as error:
            ours.close()
            self._reason = error.strerror or str(error)
            self._lost()
            return
        finally:
            theirs.close()
        self._channel = ours

    def _lost(self) -> None:
        """It has ended, or cannot be had: the next one is tried later."""
        self._end()
        self._deaths += 1
        # One that has died at once is most likely to do so again.
        delay_s = policy.respawn_delay_s(self._deaths + 1)
        self._not_before = time.monotonic() + delay_s
        self._missed = True
        reason, self._reason = self._reason or "it has ended", ""
        self._house.report(Report("watcher_died", {"reason": reason, "delay_s": delay_s}))

    def _end(self) -> None:
        """End the child, if there is one."""
        if self._channel is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has been collected
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        child.reap(self.pid)
        os.close(self._pidfd)
        self._closing.append(self._channel)
        self._channel, self._pidfd, self.pid = None, -1, NOBODY


def _wish(plan: DaemonPlan) -> object:
    """What another watcher is needed for, if it changes."""
    return plan.watch, plan.worker.identity, plan.log.file, plan.access_log.file
