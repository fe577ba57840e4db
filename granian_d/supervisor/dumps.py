"""Stacks of workers that somebody has asked for, and whoever does not answer in time.

A worker whose loop turns writes down its tasks and threads itself. One whose loop does not is sent
a signal, at which faulthandler writes its threads to standard error without asking anybody.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.control.channel import DUMP_SIGNAL, Dump
from granian_d.control.wire import is_sealed
from granian_d.supervisor.child import UNBORN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from granian_d.supervisor.caller import Caller
    from granian_d.supervisor.child import Child

# A loop that does not get to a message for so long is what one wants to know of it.
ANSWER_S: Final = 2.0


class Ordered(NamedTuple):
    """One worker's stacks on their way to one caller."""

    caller: Caller
    worker: int
    slot: int
    pid: int
    deadline: float


class Dumps:
    """What is on its way.

    Args:
        children: the workers there are, by number; somebody else's.
    """

    __slots__ = ("_children", "_last", "_ordered")

    def __init__(self, children: Mapping[int, Child]) -> None:
        self._children = children
        self._ordered: dict[int, Ordered] = {}  # by ticket
        self._last = 0

    def order(self, caller: Caller, slot: int, now: float) -> int:
        """Ask the workers of a slot, 0 for all; how many there are, the unborn not counted."""
        count = 0
        for number, child in self._children.items():
            if slot in (0, child.slot) and child.pid != UNBORN:
                self._last += 1
                self._ordered[self._last] = Ordered(
                    caller, number, child.slot, child.pid, now + ANSWER_S
                )
                child.channel.send(Dump(self._last))  # if it cannot be sent, the deadline comes
                count += 1
        return count

    def awaited_by(self, caller: Caller) -> bool:
        """Something is still on its way to him."""
        return any(ordered.caller is caller for ordered in self._ordered.values())

    def take(self, worker: int, ticket: int, fds: list[int]) -> Ordered | None:
        """A worker has answered: whom it is for; None where nobody asked, or it is no answer.

        Closes the descriptors then; else there is one.
        """
        ordered = self._ordered.get(ticket)
        if ordered is not None and ordered.worker == worker and len(fds) == 1 and is_sealed(fds[0]):
            return self._ordered.pop(ticket)
        for fd in fds:
            os.close(fd)
        return None

    def overdue(self, now: float) -> Iterator[Ordered]:
        """Who has not answered; those of them that live write to standard error."""
        late = [ticket for ticket, ordered in self._ordered.items() if now >= ordered.deadline]
        for ticket in late:
            ordered = self._ordered.pop(ticket)
            child = self._children.get(ordered.worker)
            if child is not None:
                with suppress(ProcessLookupError):  # it has ended; the news is on its way
                    signal.pidfd_send_signal(child.pidfd, DUMP_SIGNAL)
            yield ordered

    def forget(self, caller: Caller) -> None:
        """He has gone: nothing is for him any more."""
        self._ordered = {t: o for t, o in self._ordered.items() if o.caller is not caller}
