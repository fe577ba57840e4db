"""An Exchange on HTTP/1.x: what the application answers becomes bytes.

What it has in common with an exchange of HTTP/2 is in held_exchange; what becomes of the
connection is the endpoint's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.pure import h1_answer
from granian_d.engine.pure.held_exchange import HeldExchange
from granian_d.http import framing, semantics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.engine.contract import Endpoint, Wire
    from granian_d.engine.pure.h1 import H1Endpoint
    from granian_d.http.message import FieldPairs, RequestHead

# Pieces up to this size are joined for one write; larger ones are not worth the copy.
JOINED_BYTES: Final = 64 * 1024


class H1Exchange(HeldExchange):
    """One request with its response.

    Attributes:
        persistent: the head that was written lets the connection stay.
    """

    __slots__ = ("_endpoint", "persistent")

    def __init__(self, head: RequestHead, endpoint: H1Endpoint) -> None:
        super().__init__(head, endpoint.peer, endpoint.observer, endpoint.alt_svc)
        self.persistent = False
        self._endpoint = endpoint

    # --- the response --------------------------------------------------------------------------

    def inform(self, status: int, fields: FieldPairs) -> None:
        """Send an interim response; see Exchange."""
        self._demand("inform")
        kept = semantics.judge_interim(status, fields)
        if self.head.version == "1.0" or self.head_out:
            return  # RFC 9110 15.2; nothing interim comes behind the head of a final response
        self.continued = self.continued or status == 100
        self._endpoint.write(h1_answer.interim(status, kept))

    def tunnel(self, fields: FieldPairs, make: Callable[[Wire], Endpoint]) -> None:
        """Accept the other protocol that was asked for; see Exchange."""
        kept = self._switch(101, fields)
        self._endpoint.become(h1_answer.switching(self.head.protocol, kept), make)

    # --- told by Exchange ----------------------------------------------------------------------

    def _part_taken(self, part: bytes) -> None:
        self._endpoint.part_taken(self, len(part))

    def _body_wanted(self) -> None:
        self._endpoint.body_wanted(self)

    # --- inside --------------------------------------------------------------------------------

    def _cut(self) -> None:
        self._endpoint.reset(self)

    def _put(self, data: bytes, last: bool, trailers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Write a part of the body, and what must stand before and behind it."""
        self._check_length(len(data), last)
        pieces = []
        if not self.head_out:
            pieces.append(self._open(len(data) if last else None, bool(trailers)))
        if data and self._framing != framing.NO_BODY:
            pieces += self._framed(data)
        if last and self._framing == framing.CHUNKED:
            lines = [b"%b: %b\r\n" % field for field in trailers]
            pieces.append(b"0\r\n%b\r\n" % b"".join(lines))
        room = self._write(pieces)
        if last:
            self._advance("finish")
            self._endpoint.answered(self)
        return room

    def _open(self, whole: int | None, trailers: bool) -> bytes:
        """The head, now that as much as can be is known about the body."""
        answer, head = self._answer, self.head
        assert answer is not None
        self._framing, length = framing.frame_response(
            (head.method, head.version), answer.status, answer.content_length, whole, trailers
        )
        self._left = length if self._framing == framing.LENGTH else None
        self.persistent = (
            self._framing != framing.UNTIL_CLOSE
            and b"close" not in answer.options
            and self._endpoint.may_persist(self, whole is not None)
        )
        self.head_out = True
        options = set(answer.options)
        if not self.persistent:
            options.add(b"close")  # RFC 9112 9.6
        elif head.version == "1.0":
            options.add(b"keep-alive")  # RFC 9112 C.2.2
        return h1_answer.final_head(answer, framing.ResponseFraming(self._framing, length), options)

    def _framed(self, data: bytes) -> list[bytes]:
        self.sent_bytes += len(data)
        if self._framing == framing.CHUNKED:
            return [b"%x\r\n" % len(data), data, b"\r\n"]
        if self._left is not None:
            self._left -= len(data)
        return [data]

    def _write(self, pieces: list[bytes]) -> bool:
        if sum(map(len, pieces)) <= JOINED_BYTES:
            return self._endpoint.write(b"".join(pieces))
        return [self._endpoint.write(piece) for piece in pieces][-1]
