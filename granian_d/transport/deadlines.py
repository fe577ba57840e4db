"""One coarse timer for all connections of a worker.

A timer per connection would be armed and disarmed for every request; here a connection only has
a number, `deadline`, and everybody's number is looked at four times a second. So a timeout comes
up to a quarter of a second late, and never early: `clock.now` is the end of the current tick. The
clock counts ticks, not seconds: while the loop is held up, no peer's time runs out, for nobody
could have listened to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from granian_d.engine.contract import Clock

if TYPE_CHECKING:
    import asyncio

TICK_S: Final = 0.25


class Expiring(Protocol):
    """What has a deadline."""

    @property
    def deadline(self) -> float:
        """When `expire` is to be called, on the scale of the clock."""

    def expire(self) -> None:
        """The deadline has passed."""


class Deadlines:
    """Keeps the clock while there is anything to expire; does not tick while there is nothing."""

    __slots__ = ("_loop", "_members", "_timer", "clock")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._members: set[Expiring] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.clock = Clock(TICK_S)

    def add(self, member: Expiring) -> None:
        """Watch the deadline of a member."""
        self._members.add(member)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def discard(self, member: Expiring) -> None:
        """Watch it no more."""
        self._members.discard(member)

    def _tick(self) -> None:
        passed = self.clock.now
        self.clock.now += TICK_S
        for member in [member for member in self._members if member.deadline <= passed]:
            try:
                member.expire()
            except Exception as error:  # noqa: BLE001 - one connection's fault must not stop the clock
                self._loop.call_exception_handler(
                    {"message": "a deadline could not be kept", "exception": error}
                )
        self._timer = self._loop.call_later(TICK_S, self._tick) if self._members else None
