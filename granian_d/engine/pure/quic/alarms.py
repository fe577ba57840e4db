"""Who of many wants to be woken first. Moments move with every packet, most of them further off."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from granian_d.engine.contract import NEVER


class Sleeper(Protocol):
    """Who wants to be woken.

    Attributes:
        alarm: when; NEVER if not at all.
        listed: the earliest moment at which it is on the list.
    """

    alarm: float
    listed: float


class Alarms:
    """The list. Who wants to be woken later than listed is asked again then."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Sleeper]] = []
        self._count = count()  # decides between equal moments

    @property
    def first(self) -> float:
        """The next moment at which `take` may find somebody."""
        return self._heap[0][0] if self._heap else NEVER

    def set(self, sleeper: Sleeper) -> None:
        """Its alarm has been set anew."""
        if sleeper.alarm < sleeper.listed:
            sleeper.listed = sleeper.alarm
            heappush(self._heap, (sleeper.alarm, next(self._count), sleeper))

    def take(self, now: float) -> Sleeper | None:
        """One whose alarm has passed, off the list; None if there is nobody any more."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            moment, _, sleeper = heappop(heap)
            if moment != sleeper.listed:
                continue  # it was listed anew, for an earlier moment that has passed
            sleeper.listed = NEVER
            if sleeper.alarm <= now:
                return sleeper
            self.set(sleeper)
        return None
