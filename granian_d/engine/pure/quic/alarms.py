"""Who of many wants to be woken first. Moments move with every packet, most of them further off."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from granian_d.engine.contract import NEVER

Owner = TypeVar("Owner")


class Alarm(Generic[Owner]):
    """When somebody wants to be woken.

    Args:
        owner: who.

    Attributes:
        owner: None once nobody does: the list does not keep alive who is gone.
        at: the moment; NEVER if there is none.
        listed: the moments at which it stands on the list, the first of them last.
    """

    __slots__ = ("at", "listed", "owner")

    def __init__(self, owner: Owner) -> None:
        self.owner: Owner | None = owner
        self.at = NEVER
        self.listed: list[float] = []

    def cancel(self) -> None:
        """Wake nobody."""
        self.at = NEVER
        self.owner = None


class Alarms(Generic[Owner]):
    """The list. What has moved away is looked at again where it was listed, and not before."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm[Owner]]] = []
        self._count = count()  # decides between equal moments

    @property
    def first(self) -> float:
        """The next moment at which `take` may find somebody."""
        return self._heap[0][0] if self._heap else NEVER

    def set(self, alarm: Alarm[Owner]) -> None:
        """Its moment is another one."""
        if alarm.at < (alarm.listed[-1] if alarm.listed else NEVER):
            alarm.listed.append(alarm.at)
            heappush(self._heap, (alarm.at, next(self._count), alarm))

    def take(self, now: float) -> Owner | None:
        """One whose moment has passed, off the list; None if there is nobody any more."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, alarm = heappop(heap)
            alarm.listed.pop()
            if alarm.at > now:
                self.set(alarm)
            elif alarm.owner is not None:
                return alarm.owner
        return None
