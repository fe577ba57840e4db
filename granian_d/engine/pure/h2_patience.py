"""How long a connection of HTTP/2 waits for its peer, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.contract import NEVER
from granian_d.engine.pure import patience
from granian_d.engine.pure.patience import LINGER_S, PARTING_S

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock
    from granian_d.plan import Limits

__all__ = ["LINGER_S", "PARTING_S", "Patience"]


class Patience(patience.Patience):
    """What HTTP/2 waits for beside what every connection with streams does.

    Attributes:
        pinged: a PING of ours has not been acknowledged.
    """

    __slots__ = ("_heard_at", "_pinged_at", "_section_since", "pinged")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        super().__init__(limits, clock)
        self._heard_at = clock.now
        self._pinged_at = clock.now
        self._section_since: float | None = None
        self.pinged = False

    def heard(self) -> None:
        """Something has arrived."""
        self._heard_at = self._clock.now

    def ping(self) -> None:
        """A PING has been sent."""
        self.pinged = True
        self._pinged_at = self._clock.now

    def section(self, open_: bool) -> None:
        """Whether a field section has begun and is not complete."""
        if not open_:
            self._section_since = None
        elif self._section_since is None:
            self._section_since = self._clock.now

    def until_greeted(self) -> float:
        """While preface and SETTINGS have not come."""
        return self._since + (self._limits.head_timeout_s or NEVER)

    def until_section(self) -> float:
        """While a field section has begun."""
        if self._section_since is None:
            return NEVER
        return self._section_since + (self._limits.head_timeout_s or NEVER)

    def until_ping(self) -> float:
        """When a PING is due, or its ack overdue."""
        http2 = self._limits.http2
        if not http2.ping_interval_s:
            return NEVER
        if self.pinged:
            return self._pinged_at + http2.ping_timeout_s
        return self._heard_at + http2.ping_interval_s
