"""One stream, and what is remembered of those that are no more (RFC 9113 5.1).

Rules of this file: records and tables; what is done with them is the endpoint's affair.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from granian_d.engine.pure import streams

REMEMBERED: Final = 256  # closed streams; more than may be open, as a rule


class Stream(streams.Stream):
    """One stream that is not closed.

    Attributes:
        out: what waits to be sent.
        out_bytes: its size.
    """

    __slots__ = ("out", "out_bytes")

    def __init__(self, stream_id: int, ended: bool, priority: tuple[int, bool]) -> None:
        super().__init__(stream_id, ended, priority)
        self.out: deque[memoryview] = deque()
        self.out_bytes = 0

    @property
    def has_output(self) -> bool:
        """Something waits to be sent, if only the end."""
        return self.head is not None or self.out_bytes > 0 or self.last

    def put(self, data: bytes) -> None:
        """Queue a part of the response's body."""
        if data:
            self.out.append(memoryview(data))
            self.out_bytes += len(data)

    def take(self, most: int) -> bytes:
        """The next octets to be sent, at most so many, as long as they need not be joined."""
        part = self.out.popleft()
        if len(part) > most:
            self.out.appendleft(part[most:])
            part = part[:most]
        pieces = [part]
        size = len(part)
        while self.out and size + len(self.out[0]) <= most:
            pieces.append(self.out.popleft())
            size += len(pieces[-1])
        self.out_bytes -= size
        return b"".join(pieces)


class ClosedStreams:
    """How the latest closed streams were closed, by their numbers."""

    __slots__ = ("_how",)

    def __init__(self) -> None:
        self._how: dict[int, int] = {}

    def add(self, stream_id: int, how: int) -> None:
        """Remember it; the oldest one is forgotten."""
        self._how[stream_id] = how
        if len(self._how) > REMEMBERED:
            del self._how[next(iter(self._how))]

    def how(self, stream_id: int) -> int | None:
        """How it was closed; None when that was forgotten, or if it was never opened."""
        return self._how.get(stream_id)
