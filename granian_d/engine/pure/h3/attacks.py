"""How much of what is too much on HTTP/3 (RFC 9114 10.5).

Rules of this file: one table of limits. They are far beyond what clients do, and far below what
hurts. Streams that are open at once, and octets that wait, are bounded by QUIC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.pure import attacks
from granian_d.engine.pure.attacks import Limit
from granian_d.engine.pure.h3 import frames

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock

# What is counted beside frames of the control stream, by their types.
UNKNOWN: Final = -1  # frames and streams of types that mean nothing here
RESETS: Final = -2
EMPTY_DATA: Final = -3
LATE: Final = -4  # streams behind GOAWAY

LIMITS: Final = {
    frames.GOAWAY: Limit(100, True, "too many GOAWAY"),
    frames.MAX_PUSH_ID: Limit(100, True, "too many MAX_PUSH_ID"),
    frames.PRIORITY_UPDATE: Limit(1000, True, "too many PRIORITY_UPDATE"),
    UNKNOWN: Limit(1000, True, "too many frames or streams of unknown types"),
    LATE: Limit(1000, True, "too many requests behind GOAWAY"),
    # As on HTTP/2 (CVE-2023-44487, CVE-2025-8671). More are borne of one that lets streams end.
    RESETS: Limit(100, False, "too many streams reset"),
    EMPTY_DATA: Limit(100, False, "too many empty DATA"),  # in a row
}


class Watch(attacks.Watch):
    """The counts of one connection."""

    __slots__ = ()

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, LIMITS, RESETS, "RFC 9114 10.5")
