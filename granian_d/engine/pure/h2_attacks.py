"""What peers send to keep a server busy with nothing, counted (RFC 9113 10.5).

Rules of this file: one table of limits; a count that passes its limit ends the connection with
ENHANCE_YOUR_CALM. The limits are far beyond what clients do, and far below what hurts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.pure import attacks, h2_frames
from granian_d.engine.pure.attacks import PERIOD_S, Limit

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock

__all__ = ["LIMITS", "PERIOD_S", "Watch"]

# Of frames that do nothing for a stream.
UNKNOWN: Final = -1
# What else is counted.
RESETS: Final = -2
EMPTY_DATA: Final = -3
UNREAD_ANSWERS: Final = -4


LIMITS: Final = {
    h2_frames.SETTINGS: Limit(100, True, "too many SETTINGS"),
    h2_frames.PING: Limit(500, True, "too many PING"),
    h2_frames.PRIORITY: Limit(1000, True, "too many PRIORITY"),
    h2_frames.PRIORITY_UPDATE: Limit(1000, True, "too many PRIORITY_UPDATE"),
    h2_frames.WINDOW_UPDATE: Limit(2000, True, "too many WINDOW_UPDATE"),
    h2_frames.GOAWAY: Limit(100, True, "too many GOAWAY"),
    h2_frames.RST_STREAM: Limit(500, True, "too many RST_STREAM of no stream"),
    UNKNOWN: Limit(1000, True, "too many frames of unknown types"),
    # CVE-2023-44487, and CVE-2025-8671 where the peer makes us reset. More are borne of one that
    # also lets streams end.
    RESETS: Limit(100, False, "too many streams reset"),
    # CVE-2019-9518. In a row.
    EMPTY_DATA: Limit(100, False, "too many empty DATA"),
    # CVE-2019-9512, CVE-2019-9515: what we have to answer while the peer does not read.
    UNREAD_ANSWERS: Limit(1000, False, "too many answers not read"),
}


class Watch(attacks.Watch):
    """The counts of one connection."""

    __slots__ = ()

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, LIMITS, RESETS, "RFC 9113 10.5")
