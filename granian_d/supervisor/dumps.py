"""What workers were asked to write down, and whoever does not answer in time.

A worker whose loop turns writes down its tasks and threads itself. One whose loop does not is sent
a signal, at which faulthandler writes its threads to standard error without asking anybody.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.control.channel import DUMP_SIGNAL, Dump, Pin
from granian_d.control.wire import is_sealed
from granian_d.supervisor.child import UNBORN
from granian_d.supervisor.nursery import MOLD_SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from granian_d.supervisor.caller import Caller
    from granian_d.supervisor.child import Child

# A loop that does not get to a message for so long is what one wants to know of it. To import, a
# busy one is granted more.
ANSWER_S: Final = {Dump: 2.0, Pin: 20.0}


class Ordered(NamedTuple):
    """One worker's answer on its way to one caller."""

    caller: Caller
    kind: type[Dump | Pin]
    worker: int
    slot: int
    pid: int
    deadline: float

    @property
    def who(self) -> str:
        """As the log has it."""
        return f"worker-{self.slot}" if self.slot else "mold"


class Dumps:
    """What is on its way.

    Args:
        children: gives the workers and molds there are, by number.
    """

    __slots__ = ("_children", "_last", "_ordered")

    def __init__(self, children: Callable[[], Mapping[int, Child]]) -> None:
        self._children = children
        self._ordered: dict[int, Ordered] = {}  # by ticket
        self._last = 0

    def order(self, caller: Caller, slot: int, now: float) -> int:
        """Ask the workers of a slot for their stacks, 0 for all; how many there are."""

        def meant(child: Child) -> bool:
            return child.slot != MOLD_SLOT and slot in (0, child.slot)

        return self._order(caller, Dump, now, meant)

    def order_pinning(self, caller: Caller, now: float) -> int:
        """Ask everybody to import what is left; how many they are."""
        return self._order(caller, Pin, now, lambda _: True)

    def _order(
        self,
        caller: Caller,
        kind: type[Dump | Pin],
        now: float,
        meant: Callable[[Child], bool],
    ) -> int:
        asked = [
            (number, child)
            for number, child in self._children().items()
            if child.pid != UNBORN and meant(child)
        ]
        for number, child in asked:
            self._last += 1
            self._ordered[self._last] = Ordered(
                caller, kind, number, child.slot, child.pid, now + ANSWER_S[kind]
            )
            child.channel.send(kind(self._last))  # if it cannot be sent, the deadline comes
        return len(asked)

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
            child = self._children().get(ordered.worker)
            if child is not None and ordered.kind is Dump:
                with suppress(ProcessLookupError):  # it has ended; the news is on its way
                    signal.pidfd_send_signal(child.pidfd, DUMP_SIGNAL)
            yield ordered

    def forget(self, caller: Caller) -> None:
        """He has gone: nothing is for him any more."""
        self._ordered = {t: o for t, o in self._ordered.items() if o.caller is not caller}
