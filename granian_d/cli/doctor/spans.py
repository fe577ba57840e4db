"""Spans of time as systemd shows them (systemd.time(7)): "1min 5s", "infinity", "45s"."""

from __future__ import annotations

import math
import re
from typing import Final

_UNITS_S: Final = {
    **dict.fromkeys(("us", "usec", "μs", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Zμµ]*)")


def span_s(text: str) -> float | None:
    """Seconds; None for what is no span.

    Args:
        text: as a property of a unit, or as a line of its file.
    """
    text = text.strip()
    if text == "infinity":
        return math.inf
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[2] not in _UNITS_S:
            return None
        total += float(part[1]) * _UNITS_S[part[2]]
        at = part.end()
    return total if text else None
