"""What the exchanges of HTTP/1.x and HTTP/2 have in common: a head that is held back.

Rules of this file: a fault of the application is found before anything of the faulty call is
written, so that a 500 can still be given as long as the head is held back. The table of
`http.states` says what may follow what; how it is written is the subclass's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.http import framing, semantics, states
from granian_d.http.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.errors import ProtocolViolation, RemoteError
    from granian_d.http.exchange import Observer
    from granian_d.http.message import FieldPairs, Fields, Peer, RequestHead
    from granian_d.http.semantics import ResponseHead


class HeldExchange(Exchange):
    """One request with its response.

    Attributes:
        continued: a 100 has been written, so the client will send its body.
        head_out: the head of the final response has been written.
        closed: why nothing can be answered any more, once that is so.

    Args:
        alt_svc: where else the origin is, for the answer to say; "" for nowhere.
    """

    closed: ClassVar[str] = "the connection is closed"

    __slots__ = ("_alt_svc", "_answer", "_framing", "_left", "continued", "head_out")

    def __init__(
        self, head: RequestHead, peer: Peer, observer: Observer, alt_svc: str = ""
    ) -> None:
        super().__init__(head, peer, observer)
        self._alt_svc = alt_svc
        self.continued = False
        self.head_out = False
        self._answer: ResponseHead | None = None
        self._framing = framing.NO_BODY
        self._left: int | None = None  # of the Content-Length that was declared

    # --- the response --------------------------------------------------------------------------

    def start(self, status: int, fields: FieldPairs) -> None:
        """Give the head of the response, which is held back; see Exchange."""
        self._demand("start")
        self._answer = self._judge(status, fields)
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

    def abort(self) -> None:
        """Cut the exchange; see Exchange."""
        if self.state in (states.AWAITED, states.STARTED):
            self._advance("abort")
            self._cut()

    def fail(self) -> None:
        """End the exchange after a fault of the application; see Exchange."""
        if self.state == states.STARTED and not self.head_out:
            self.state = states.AWAITED  # nobody has seen that start: a 500 can take its place
        super().fail()

    # --- told by the engine --------------------------------------------------------------------

    def lose(self, error: RemoteError | None = None) -> None:
        """The connection, or its stream, is no more there for this exchange.

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

    # --- for the subclass ----------------------------------------------------------------------

    def _judge(self, status: int, fields: FieldPairs) -> ResponseHead:
        """What goes out of the head that the application gives."""
        answer = semantics.judge_response(status, fields)
        if self._alt_svc:
            answer = semantics.advertising(answer, self._alt_svc.encode())
        return answer

    def _put(self, data: bytes, last: bool, trailers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Write a part of the body, and what must stand before and behind it."""
        raise NotImplementedError

    def _cut(self) -> None:
        """Have the peer see that the response is not whole."""
        raise NotImplementedError

    def _demand(self, move: str) -> None:
        """Refuse a move for which it is too late or too early, before anything else is judged."""
        if self.state == states.ABORTED:
            raise Disconnected(self.closed)
        if move not in states.NEXT[self.state]:
            self._advance(move)  # raises

    def _switch(self, status: int, fields: FieldPairs) -> Fields:
        """Accept the other protocol that was asked for; what may stand in the answer."""
        self._demand("tunnel")
        if not self.head.protocol:
            raise FlowError("no other protocol was asked for")
        kept = semantics.judge_switch(fields)
        self._advance("tunnel")
        self.status = status
        return kept

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
            self.abort()  # RFC 9112 6.3, RFC 9113 8.1.1: it must not be taken for complete
        raise InvalidResponse(f"a body of {'more' if count > left else 'less'} than Content-Length")
