"""The sign of life: the loop writes the time into its scoreboard row once a second.

It runs on the loop itself, so a loop that does not turn does not beat.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from granian_d.observe.scoreboard import BEAT_NS

if TYPE_CHECKING:
    import asyncio

    from granian_d.observe.scoreboard import Row

BEAT_S: Final = 1.0


def beat(row: Row) -> None:
    """Beat once, from any thread."""
    row[BEAT_NS] = monotonic_ns()


def start(loop: asyncio.AbstractEventLoop, row: Row) -> None:
    """Beat from now until the loop ends."""

    def beat_on() -> None:
        beat(row)
        loop.call_later(BEAT_S, beat_on)

    beat_on()
