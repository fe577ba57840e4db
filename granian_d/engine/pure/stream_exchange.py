"""An Exchange on one stream of HTTP/2 or HTTP/3: what is answered becomes a section and DATA.

What it has in common with an exchange of HTTP/1.x is in held_exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granian_d.engine.pure.held_exchange import HeldExchange
from granian_d.engine.pure.stream_answers import date, section
from granian_d.http import framing, semantics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.engine.contract import Endpoint, Wire
    from granian_d.engine.pure.stream_requests import StreamRequests
    from granian_d.engine.pure.streams import Stream
    from granian_d.http.message import FieldPairs, Fields, RequestHead
    from granian_d.http.semantics import ResponseHead


class StreamExchange(HeldExchange):
    """One request with its response; `head_out`: the head has been given to the stream."""

    closed = "the stream is closed"

    __slots__ = ("_requests", "_stream")

    def __init__(self, head: RequestHead, stream: Stream, requests: StreamRequests[Any]) -> None:
        super().__init__(head, requests.peer, requests.observer)
        self._stream = stream
        self._requests = requests

    # --- the response --------------------------------------------------------------------------

    def inform(self, status: int, fields: FieldPairs) -> None:
        """Send an interim response; see Exchange."""
        self._demand("inform")
        kept = semantics.judge_interim(status, fields)
        if self.head_out:
            return  # nothing interim comes behind the head of a final response (RFC 9110 15.2)
        self.continued = self.continued or status == 100
        self._requests.inform(self._stream, section(status, kept))

    def tunnel(self, fields: FieldPairs, make: Callable[[Wire], Endpoint]) -> None:
        """Accept the other protocol that was asked for (RFC 8441 5, RFC 9220 3); see Exchange."""
        kept = self._switch(200, fields)
        self._requests.tunnel(self._stream, section(200, [*kept, (b"date", date())]), make)

    # --- told by the engine --------------------------------------------------------------------

    def take_buffered(self) -> bytes | None:
        """A part that has come before the tunnel was made; None if there is none."""
        return self._parts.popleft() if self._parts else None

    # --- told by Exchange ----------------------------------------------------------------------

    def _part_taken(self, part: bytes) -> None:
        self._requests.part_taken(self._stream, len(part))

    def _body_wanted(self) -> None:
        self._requests.body_wanted(self._stream, self)

    # --- inside --------------------------------------------------------------------------------

    def _judge(self, status: int, fields: FieldPairs) -> ResponseHead:
        return self._requests.answers.judge(status, fields)

    def _cut(self) -> None:
        self._requests.abort(self._stream)

    def _put(self, data: bytes, last: bool, trailers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Give a part of the body to the stream, and what must stand before and behind it."""
        self._check_length(len(data), last)
        stream = self._stream
        if not self.head_out:
            stream.head = self._open(len(data) if last else None)
        if self._framing == framing.NO_BODY:
            data, trailers = b"", ()
        elif self._left is not None:
            self._left -= len(data)
        if last:
            self._advance("finish")
            stream.trailers = [(name.lower(), value) for name, value in trailers]
            stream.last = True
        return self._requests.put(stream, data)

    def _open(self, whole: int | None) -> Fields:
        """The head, now that as much as can be is known about the body."""
        answer = self._answer
        assert answer is not None
        # That trailers will follow is no reason here to leave out the length.
        request = self.head.method, self.head.version
        self._framing, length = framing.frame_response(
            request, answer.status, answer.content_length, whole, False
        )
        self._left = length if self._framing == framing.LENGTH else None
        self.head_out = True
        return self._requests.answers.section(answer, length)
