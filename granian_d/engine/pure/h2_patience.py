"""How long a connection waits for its peer, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Leave
    from granian_d.plan import Limits

# For the ack of the PING that goes with the first GOAWAY: far beyond a round trip. Requests that
# were under way when the peer read it have come by then (RFC 9113 6.8).
PARTING_S: Final = 1.0
# After our end of a tunnel, for the peer's: as long as a WebSocket waits for the other Close.
LINGER_S: Final = 10.0


class Patience:
    """Remembers since when something is awaited, and says until when.

    Each `until_` is about one thing that is awaited; which of them are, the endpoint knows.

    Attributes:
        leave: the terms of the drain, once it was ordered.
        pinged: a PING of ours has not been acknowledged.
    """

    __slots__ = (
        "_clock",
        "_heard_at",
        "_limits",
        "_parting_at",
        "_pinged_at",
        "_section_since",
        "_since",
        "leave",
        "pinged",
    )

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._since = clock.now  # of the connection, then since no stream is open
        self._heard_at = clock.now
        self._pinged_at = clock.now
        self._section_since: float | None = None
        self._parting_at = clock.now
        self.pinged = False
        self.leave: Leave | None = None

    def heard(self) -> None:
        """Something has arrived."""
        self._heard_at = self._clock.now

    def ping(self) -> None:
        """A PING has been sent."""
        self.pinged = True
        self._pinged_at = self._clock.now

    def idle(self) -> None:
        """The last stream has gone."""
        self._since = self._clock.now

    def section(self, open_: bool) -> None:
        """Whether a field section has begun and is not complete."""
        if not open_:
            self._section_since = None
        elif self._section_since is None:
            self._section_since = self._clock.now

    def part(self, leave: Leave) -> None:
        """A drain was ordered; the first GOAWAY goes out now."""
        if self.leave is None:
            self._parting_at = self._clock.now
        self.leave = leave

    def until_greeted(self) -> float:
        """While preface and SETTINGS have not come."""
        return self._since + (self._limits.head_timeout_s or NEVER)

    def until_section(self) -> float:
        """While a field section has begun."""
        if self._section_since is None:
            return NEVER
        return self._section_since + (self._limits.head_timeout_s or NEVER)

    def until_idle(self) -> float:
        """While there is no stream."""
        return self._since + (self._limits.idle_timeout_s or NEVER)

    def until_ping(self) -> float:
        """When a PING is due, or its ack overdue."""
        http2 = self._limits.http2
        if not http2.ping_interval_s:
            return NEVER
        if self.pinged:
            return self._pinged_at + http2.ping_timeout_s
        return self._heard_at + http2.ping_interval_s

    def until_parted(self) -> float:
        """While requests may be under way that were sent before the first GOAWAY was read."""
        assert self.leave is not None
        return self._parting_at + min(self.leave.idle_s, PARTING_S)
