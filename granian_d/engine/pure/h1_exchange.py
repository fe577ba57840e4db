"""An Exchange on HTTP/1.x: what the application answers becomes bytes.

Rules of this file: a fault of the application is found before anything of the faulty call is
written, so that a 500 can still be given as long as the head is held back. The table of
`http.states` says what may follow what; what became of the connection is the endpoint's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine.pure import h1_answer
from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.http import framing, semantics, states
from granian_d.http.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.engine.contract import Endpoint, Wire
    from granian_d.engine.pure.h1 import H1Endpoint
    from granian_d.errors import ProtocolViolation, RemoteError
    from granian_d.http.message import FieldPairs, RequestHead
    from granian_d.http.semantics import ResponseHead

# Pieces up to this size are joined for one write; larger ones are not worth the copy.
JOINED_BYTES: Final = 64 * 1024


class H1Exchange(Exchange):
    """One request with its response.

    Attributes:
        continued: a 100 has been written, so the client will send its body.
        head_out: the head of the final response has been written.
        persistent: the head that was written lets the connection stay.
    """

    __slots__ = (
        "_answer",
        "_endpoint",
        "_framing",
        "_left",
        "continued",
        "head_out",
        "persistent",
    )

    def __init__(self, head: RequestHead, endpoint: H1Endpoint) -> None:
        super().__init__(head, endpoint.peer, endpoint.observer)
        self.continued = False
        self.head_out = False
        self.persistent = False
        self._endpoint = endpoint
        self._answer: ResponseHead | None = None
        self._framing = framing.NO_BODY
        self._left: int | None = None  # of the Content-Length that was declared

    # --- the response --------------------------------------------------------------------------

    def inform(self, status: int, fields: FieldPairs) -> None:
        """Send an interim response; see Exchange."""
        self._demand("inform")
        kept = semantics.judge_interim(status, fields)
        if self.head.version == "1.0":
            return  # RFC 9110 15.2
        self.continued = self.continued or status == 100
        self._endpoint.write(h1_answer.interim(status, kept))

    def start(self, status: int, fields: FieldPairs) -> None:
        """Give the head of the response, which is held back; see Exchange."""
        self._demand("start")
        self._answer = semantics.judge_response(status, fields)
        self._advance("start")
        self.status = self._answer.status

    def send(self, data: bytes, last: bool = False) -> bool:
        """Send a part of the body; see Exchange."""
        self._demand("send")
        if not isinstance(data, bytes):
            raise InvalidResponse(f"a body of {type(data).__name__} instead of bytes")
        return self._put(data, last, ())

    def finish(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """End the response; see Exchange."""
        self._demand("finish")
        kept = semantics.judge_trailers(trailers)
        if not semantics.takes_trailers(self.head.fields):
            kept = []  # RFC 9110 6.5.1
        self._put(b"", True, kept)

    def send_file(self, fd: int, offset: int, count: int, done: Callable[[bool], None]) -> None:
        """Send a part of a file; see Exchange."""
        if self.state == states.STARTED and not semantics.has_content(
            self.head.method, self.status
        ):
            self.finish()  # without reading what will not be sent
            done(True)
            return
        super().send_file(fd, offset, count, done)

    def tunnel(self, fields: FieldPairs, make: Callable[[Wire], Endpoint]) -> None:
        """Accept the other protocol that was asked for; see Exchange."""
        self._demand("tunnel")
        protocol = self.head.protocol
        if not protocol:
            raise FlowError("no other protocol was asked for")
        kept = semantics.judge_switch(fields)
        self._advance("tunnel")
        self.status = 101
        self._endpoint.become(h1_answer.switching(protocol, kept), make)

    def abort(self) -> None:
        """Cut the exchange; see Exchange."""
        if self.state not in (states.AWAITED, states.STARTED):
            return
        self._advance("abort")
        self._endpoint.cut(self)

    def fail(self) -> None:
        """End the exchange after a fault of the application; see Exchange."""
        if self.state == states.STARTED and not self.head_out:
            self.state = states.AWAITED  # nobody has seen that start: a 500 can take its place
        super().fail()

    # --- told by the endpoint ------------------------------------------------------------------

    def lose(self, error: RemoteError | None = None) -> None:
        """The connection is no more there for this exchange.

        Args:
            error: for an application that waits for the body; None: Disconnected.
        """
        if self.state != states.FINISHED:
            self.state = states.ABORTED
        if error is not None:
            self.feed_error(error)
        self.feed_gone()

    def overrule(self, violation: ProtocolViolation, body_bytes: int, error: RemoteError) -> None:
        """The engine has answered in the application's place."""
        self.status = violation.http_status
        self.sent_bytes = body_bytes
        self.lose(error)

    # --- told by Exchange ----------------------------------------------------------------------

    def _part_taken(self, part: bytes) -> None:
        self._endpoint.part_taken(self, len(part))

    def _body_wanted(self) -> None:
        self._endpoint.body_wanted(self)

    # --- inside --------------------------------------------------------------------------------

    def _demand(self, move: str) -> None:
        """Refuse a move for which it is too late or too early, before anything else is judged."""
        if self.state == states.ABORTED:
            raise Disconnected("the connection is closed")
        if move not in states.NEXT[self.state]:
            self._advance(move)  # raises

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

    def _check_length(self, count: int, last: bool) -> None:
        """Refuse a body that breaks the length that was declared for it."""
        left = self._left
        if not self.head_out:
            assert self._answer is not None
            if not semantics.has_content(self.head.method, self._answer.status):
                return
            left = self._answer.content_length
        if left is None or not (count > left or (last and count < left)):
            return
        if self.head_out:
            self.abort()  # RFC 9112 6.3: the peer must not take it for complete
        raise InvalidResponse(f"a body of {'more' if count > left else 'less'} than Content-Length")

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
