"""What a stream of HTTP/2 or HTTP/3 is while it is not closed: one request and its answer.

Rules of this file: a record; what is done with it is the affair of stream_requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER

if TYPE_CHECKING:
    from granian_d.engine.contract import Endpoint
    from granian_d.engine.pure.stream_exchange import StreamExchange
    from granian_d.http.message import Fields

# How a stream was closed.
ENDED: Final = 0  # by both sides, in good order
RESET_BY_PEER: Final = 1
RESET_BY_US: Final = 2  # or never looked at: what is still under way is passed over


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
        head: of the response, waiting to be sent before its body.
        last: nothing follows what is queued but `trailers` and the end of the stream.
        trailers: of the response.
        full: the application was told to wait for room.
        stalled_since: when what waits to be sent began to be held up by the peer, or NEVER.
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
        self.exchange: StreamExchange | None = None
        self.tunnel: Endpoint | None = None
        self.ended = ended
        self.left: int | None = None
        self.came = 0
        self.unread = 0
        self.wanted = True
        self.paused = False
        self.body_since = NEVER
        self.head: Fields | None = None
        self.last = False
        self.trailers: Fields = []
        self.full = False
        self.stalled_since = NEVER
        self.urgency, self.incremental = priority
        self.served = 0
