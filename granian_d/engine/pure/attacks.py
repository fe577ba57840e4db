"""What peers send to keep a server busy with nothing, counted (RFC 9113 10.5, RFC 9114 10.5).

Rules of this file: how it is counted. What is, and how much of it is too much, is a table of each
protocol. A count that passes its limit ends the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import PeerTooBusy

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock

PERIOD_S: Final = 10.0  # so long counts are kept of what is harmless when it comes slowly


class Limit(NamedTuple):
    """How much of something is too much.

    Attributes:
        most: so many are borne.
        slowly: counted anew in each PERIOD_S, and when a stream makes progress.
        reason: for the log.
    """

    most: int
    slowly: bool
    reason: str


class Watch:
    """The counts of one connection.

    Args:
        clock: the coarse one.
        limits: by what is counted.
        resets: of those, the one that a stream makes up for when it comes to its end.
        section: the rule.
    """

    __slots__ = ("_clock", "_counts", "_limits", "_resets", "_section", "_since", "_slow")

    def __init__(self, clock: Clock, limits: dict[int, Limit], resets: int, section: str) -> None:
        self._clock = clock
        self._limits = limits
        self._resets = resets
        self._section = section
        self._counts: dict[int, int] = {}
        self._slow = False  # something is counted that comes slowly
        self._since = clock.now

    def count(self, what: int) -> None:
        """One more.

        Raises:
            PeerTooBusy: that was too many.
        """
        limit = self._limits[what]
        if limit.slowly:
            if self._clock.now >= self._since + PERIOD_S:
                self.progress()
            self._slow = True
        count = self._counts[what] = self._counts.get(what, 0) + 1
        if count > limit.most:
            raise PeerTooBusy(limit.reason, self._section)

    def finished(self) -> None:
        """A stream has come to its end: one more may be reset."""
        self._counts[self._resets] = self._counts.get(self._resets, 0) - 1
        self.progress()

    def progress(self) -> None:
        """A stream has moved on: what came between is part of that."""
        self._since = self._clock.now
        if self._slow:
            self._slow = False
            for what, limit in self._limits.items():
                if limit.slowly:
                    self._counts[what] = 0

    def forget(self, what: int) -> None:
        """The row of them is broken."""
        self._counts[what] = 0
