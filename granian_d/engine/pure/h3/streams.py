"""One stream of a request on HTTP/3: what has come of it, and what waits to leave.

Rules of this file: a record; what is done with it is the affair of requests, reception and sender.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from granian_d.engine.pure import streams
from granian_d.engine.pure.h3.frames import FrameIntake
from granian_d.engine.pure.priority import DEFAULT_URGENCY

# What may come next on it (RFC 9114 4.1).
AWAITED: Final = 0  # the section of the request
BODY: Final = 1
TRAILED: Final = 2  # nothing that is known here
TUNNELLED: Final = 3  # DATA alone (4.4)


class Stream(streams.Stream):
    """One stream that is not closed.

    Attributes:
        intake: what has come of it.
        stage: what may come next.
        since: when it was opened, while the section of its request has not come; then NEVER.
        unsent: octets that waited in the link when it was last asked.
        out: what waits for its turn, behind those.
        out_bytes: its size.
    """

    __slots__ = ("intake", "out", "out_bytes", "since", "stage", "unsent")

    def __init__(self, stream_id: int, since: float) -> None:
        super().__init__(stream_id, False, (DEFAULT_URGENCY, False))
        self.intake = FrameIntake()
        self.stage = AWAITED
        self.since = since
        self.unsent = 0
        self.out: deque[memoryview] | None = None  # made for answers that are large
        self.out_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """Octets that were in no packet when the link was last asked."""
        return self.unsent + self.out_bytes

    def put(self, octets: memoryview) -> None:
        """Have them wait."""
        if self.out is None:
            self.out = deque()
        self.out.append(octets)
        self.out_bytes += len(octets)

    def take(self, most: int) -> bytes:
        """The next octets, as many as that, or all there are."""
        assert self.out is not None
        pieces = []
        while most and self.out:
            part = self.out.popleft()
            if len(part) > most:
                self.out.appendleft(part[most:])
                part = part[:most]
            pieces.append(part)
            most -= len(part)
        taken = b"".join(pieces)
        self.out_bytes -= len(taken)
        return taken
