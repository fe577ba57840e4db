"""One stream, and what is remembered of those that are no more (RFC 9113 5.1).

Rules of this file: records and tables; what is done with them is the endpoint's affair.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Endpoint
    from granian_d.engine.pure.h2_exchange import H2Exchange
    from granian_d.http.message import Fields

# How a stream was closed.
ENDED: Final = 0  # by END_STREAM of both sides
RESET_BY_PEER: Final = 1
RESET_BY_US: Final = 2  # or never looked at: what is still under way is passed over

REMEMBERED: Final = 256  # closed streams; more than may be open, as a rule

DEFAULT_URGENCY: Final = 3  # RFC 9218 4.1


class Stream:
    """One stream that is not closed.

    Attributes:
        id: its number.
        exchange: None where the engine answers by itself.
        tunnel: what is fed its octets instead of the exchange.
        ended: the peer has ended it.
        left: octets of its body that must still come; None when that was not said.
        came: octets of its body so far.
        unread: octets that are buffered for the application, for which no credit was given back.
        wanted: what comes is still read by somebody.
        paused: no credit is given for what is read: the tunnel has said so.
        body_since: when the application began to wait for more of the body, or NEVER.
        out: what waits to be sent.
        out_bytes: its size.
        last: nothing follows `out` but `trailers` and END_STREAM.
        trailers: of the response.
        head: of the response, waiting to be sent before `out`.
        full: the application was told to wait for room.
        stalled_since: when the peer's windows began to hold up `out`, or NEVER.
        urgency: 0 to 7, the smaller the sooner.
        incremental: its data are of use by parts.
        served: when it was its turn, as the count of all turns.
    """

    __slots__ = (
        "body_since",
        "came",
        "ended",
        "exchange",
        "full",
        "head",
        "id",
        "incremental",
        "last",
        "left",
        "out",
        "out_bytes",
        "paused",
        "served",
        "stalled_since",
        "trailers",
        "tunnel",
        "unread",
        "urgency",
        "wanted",
    )

    def __init__(self, stream_id: int, ended: bool, priority: tuple[int, bool]) -> None:
        self.id = stream_id
        self.exchange: H2Exchange | None = None
        self.tunnel: Endpoint | None = None
        self.ended = ended
        self.left: int | None = None
        self.came = 0
        self.unread = 0
        self.wanted = True
        self.paused = False
        self.body_since = NEVER
        self.out: deque[memoryview] = deque()
        self.out_bytes = 0
        self.head: Fields | None = None
        self.last = False
        self.trailers: Fields = []
        self.full = False
        self.stalled_since = NEVER
        self.urgency, self.incremental = priority
        self.served = 0

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
