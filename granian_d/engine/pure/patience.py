"""How long a connection with many streams waits for its peer: what HTTP/2 and HTTP/3 share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Leave
    from granian_d.plan import Limits

# For the peer to have read the first GOAWAY: far beyond a round trip. Requests that were under way
# then have come by the end of it (RFC 9113 6.8, RFC 9114 5.2).
PARTING_S: Final = 1.0
# After our end of a tunnel, for the peer's: as long as a WebSocket waits for the other Close.
LINGER_S: Final = 10.0


class Patience:
    """Remembers since when something is awaited, and says until when.

    Each `until_` is about one thing that is awaited; which of them are, the endpoint knows.

    Attributes:
        leave: the terms of the drain, once it was ordered.
    """

    __slots__ = ("_clock", "_limits", "_parting_at", "_since", "leave")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._since = clock.now  # of the connection, then since no stream is open
        self._parting_at = clock.now
        self.leave: Leave | None = None

    def idle(self) -> None:
        """The last stream has gone."""
        self._since = self._clock.now

    def part(self, leave: Leave) -> None:
        """A drain was ordered; the first GOAWAY goes out now."""
        if self.leave is None:
            self._parting_at = self._clock.now
        self.leave = leave

    def until_idle(self) -> float:
        """While there is no stream."""
        return self._since + (self._limits.idle_timeout_s or NEVER)

    def until_parted(self) -> float:
        """While requests may be under way that were sent before the first GOAWAY was read."""
        assert self.leave is not None
        return self._parting_at + min(self.leave.idle_s, PARTING_S)
