"""An Exchange on one stream of HTTP/2: what the application answers becomes a section and DATA.

Rules of this file: as in h1_exchange, a fault of the application is found before anything of the
faulty call is written, so that a 500 can still be given as long as the head is held back.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.http import framing, semantics, states
from granian_d.http.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian_d.engine.contract import Endpoint, Wire
    from granian_d.engine.pure.h2_requests import Requests
    from granian_d.engine.pure.h2_streams import Stream
    from granian_d.errors import ProtocolViolation, RemoteError
    from granian_d.http.message import FieldPairs, Fields, RequestHead
    from granian_d.http.semantics import ResponseHead

_SERVER: Final = (b"server", b"granian-d")


class H2Exchange(Exchange):
    """One request with its response.

    Attributes:
        continued: a 100 has been written, so the client will send its body.
        head_out: the head of the final response has been given to the stream.
    """

    __slots__ = ("_answer", "_framing", "_left", "_requests", "_stream", "continued", "head_out")

    def __init__(self, head: RequestHead, stream: Stream, requests: Requests) -> None:
        super().__init__(head, requests.peer, requests.observer)
        self.continued = False
        self.head_out = False
        self._stream = stream
        self._requests = requests
        self._answer: ResponseHead | None = None
        self._framing = framing.NO_BODY
        self._left: int | None = None  # of the Content-Length that was declared

    # --- the response --------------------------------------------------------------------------

    def inform(self, status: int, fields: FieldPairs) -> None:
        """Send an interim response; see Exchange."""
        self._demand("inform")
        kept = semantics.judge_interim(status, fields)
        self.continued = self.continued or status == 100
        self._requests.inform(self._stream, section(status, kept))

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
        """Accept the other protocol that was asked for (RFC 8441 5); see Exchange."""
        self._demand("tunnel")
        if not self.head.protocol:
            raise FlowError("no other protocol was asked for")
        kept = semantics.judge_switch(fields)
        self._advance("tunnel")
        self.status = 200
        self._requests.tunnel(self._stream, section(200, [*kept, (b"date", date())]), make)

    def abort(self) -> None:
        """Cut the exchange; see Exchange."""
        if self.state not in (states.AWAITED, states.STARTED):
            return
        self._advance("abort")
        self._requests.abort(self._stream)

    def fail(self) -> None:
        """End the exchange after a fault of the application; see Exchange."""
        if self.state == states.STARTED and not self.head_out:
            self.state = states.AWAITED  # nobody has seen that start: a 500 can take its place
        super().fail()

    # --- told by the engine --------------------------------------------------------------------

    def lose(self, error: RemoteError | None = None) -> None:
        """The stream is no more there for this exchange.

        Args:
            error: for an application that waits for the body; None: Disconnected.
        """
        if self.state != states.FINISHED:
            self.state = states.ABORTED
        if error is not None:
            self.feed_error(error)
        self.feed_gone()

    def overrule(self, violation: ProtocolViolation, body_bytes: int) -> None:
        """The engine has answered in the application's place."""
        self.status = violation.http_status
        self.sent_bytes = body_bytes
        self.lose(violation)

    def take_buffered(self) -> bytes | None:
        """A part that has come before the tunnel was made; None if there is none."""
        return self._parts.popleft() if self._parts else None

    # --- told by Exchange ----------------------------------------------------------------------

    def _part_taken(self, part: bytes) -> None:
        self._requests.part_taken(self._stream, len(part))

    def _body_wanted(self) -> None:
        self._requests.body_wanted(self._stream, self)

    # --- inside --------------------------------------------------------------------------------

    def _demand(self, move: str) -> None:
        """Refuse a move for which it is too late or too early, before anything else is judged."""
        if self.state == states.ABORTED:
            raise Disconnected("the stream is closed")
        if move not in states.NEXT[self.state]:
            self._advance(move)  # raises

    def _put(self, data: bytes, last: bool, trailers: Fields | tuple[()]) -> bool:
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
            self.abort()  # RFC 9113 8.1.1: the peer must not take it for complete
        raise InvalidResponse(f"a body of {'more' if count > left else 'less'} than Content-Length")

    def _open(self, whole: int | None) -> Fields:
        """The head, now that as much as can be is known about the body."""
        answer = self._answer
        assert answer is not None
        # That trailers will follow is no reason here to leave out the length.
        self._framing, length = framing.frame_response(
            (self.head.method, "2"), answer.status, answer.content_length, whole, False
        )
        self._left = length if self._framing == framing.LENGTH else None
        self.head_out = True
        fields = [(name, value) for name, value in answer.fields if name.lower() != b"upgrade"]
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        if b"date" not in answer.names:
            fields.append((b"date", date()))  # RFC 9110 6.6.1
        if b"server" not in answer.names:
            fields.append(_SERVER)
        return section(answer.status, fields)


def section(status: int, fields: FieldPairs) -> Fields:
    """The field section of a response: names in lower case (RFC 9113 8.2.1, 8.3.2)."""
    lines = [(name.lower(), value) for name, value in fields]
    return [(b":status", b"%d" % status), *lines]


def refusal(violation: ProtocolViolation) -> tuple[Fields, bytes]:
    """Section and body of an answer to a request that broke a rule; the body says which."""
    status = violation.http_status
    reason = semantics.REASONS[status].decode()
    rule = f" ({violation.section})" if violation.section else ""
    body = f"{status} {reason}: {violation.reason}{rule}\n".encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"date", date()),
        _SERVER,
        *violation.answer_fields,
    ]
    return section(status, fields), body


def date() -> bytes:
    """Now, as the value of Date."""
    return semantics.imf_fixdate(int(time()))
