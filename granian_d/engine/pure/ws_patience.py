"""How long a peer of a conversation is waited for, and when it is told to go."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Leave
    from granian_d.plan.model import WebSocketLimits

# For the peer's Close after ours: as long as other implementations have it. What the peer has sent
# before it comes first, and may be waiting in a queue of its own. Also for an application that has
# to pull what is left before a peer that broke a rule is told so.
CLOSE_TIMEOUT_S: Final = 10.0


class Patience:
    """Points in time on the scale of the clock; NEVER where nothing is awaited.

    Attributes:
        ping_at: the peer has been silent long enough to be asked whether it is there.
        pong_by: it has been asked, and must have said something by then.
        close_by: the end is near, and comes then at the latest.
        leave_at: we say Close then.
    """

    __slots__ = (
        "_clock",
        "_interval_s",
        "_timeout_s",
        "close_by",
        "leave_at",
        "ping_at",
        "pong_by",
    )

    def __init__(self, limits: WebSocketLimits, clock: Clock) -> None:
        self._clock = clock
        self._interval_s = limits.ping_interval_s or NEVER
        self._timeout_s = limits.ping_timeout_s or NEVER
        self.close_by = NEVER
        self.leave_at = NEVER
        self.heard()

    def heard(self) -> None:
        """The peer has sent something, or could not."""
        self.ping_at = self._clock.now + self._interval_s
        self.pong_by = NEVER

    def asked(self) -> None:
        """A ping has gone out."""
        self.ping_at = NEVER
        self.pong_by = self._clock.now + self._timeout_s

    def said_close(self) -> None:
        """Close has gone out: nothing else is awaited."""
        self._interval_s = NEVER
        self.heard()
        self.leave_at = NEVER
        self.end_soon()

    def end_soon(self) -> None:
        """There is only something left to be finished."""
        self.close_by = self._clock.now + CLOSE_TIMEOUT_S

    def leave(self, leave: Leave) -> None:
        """Choose the moment at which this conversation ends."""
        self.leave_at = self._clock.now + leave.spread_s * random()  # noqa: S311 - no secret

    def next(self) -> float:
        """The first of those points."""
        return min(self.ping_at, self.pong_by, self.close_by, self.leave_at)
