"""Windows that grow with what the connection can carry.

Rules of this file: numbers in, numbers out. A peer that has sent as much as the windows allow
within one round trip was held up by them: both are doubled, up to a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from granian_d.plan import Limits

MOST_BYTES: Final = 16 * 1024 * 1024  # of a window: a gigabit a second over 130 ms


class Growth:
    """Measures, one round trip after the other, while something comes."""

    __slots__ = ("_came", "_connection", "_measuring", "_stream", "_wanted")

    def __init__(self, limits: Limits) -> None:
        self._wanted = limits.http2.adaptive_window
        self._stream = limits.http2.stream_window_bytes
        self._connection = limits.http2.connection_window_bytes
        self._measuring = False
        self._came = 0

    def received(self, count: int) -> bool:
        """Octets of bodies have come; True to send the PING whose ack ends the round trip.

        None is sent before a quarter of a window has come: small bodies are not worth it.
        """
        if not self._wanted:
            return False
        self._came += count
        if self._measuring or self._came < min(self._stream, self._connection) // 4:
            return False
        self._measuring = True
        self._came = 0
        return True

    def measured(self) -> tuple[int, int] | None:
        """The ack has come.

        Returns:
            the new window of each stream, and what the connection's is to grow by; None: as before.
        """
        if not self._measuring:
            return None
        came, self._came = self._came, 0
        self._measuring = False
        # Two thirds are all, in effect: credit travels as long as the PING does.
        if came * 3 < min(self._stream, self._connection) * 2 or self._stream >= MOST_BYTES:
            return None
        self._stream = min(2 * self._stream, MOST_BYTES)
        grown = min(2 * self._connection, max(MOST_BYTES, self._connection))
        more, self._connection = grown - self._connection, grown
        return self._stream, more
