"""The protocol object of an RSGI request: its body, and the ways to answer it.

Rules of this file, as RSGI has them:
- The body is read once: whole, by calling the object, or in parts, by iterating over it.
- The first response counts. A second one is ignored; only a second stream is an error.
- Headers that cannot be sent are dropped; what an engine refuses beyond that is InvalidResponse.
- Answering a peer that has gone is no error, but for streams.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, InvalidResponse, RemoteError
from granian_d.http import states
from granian_d.interface.departure import forget_frames
from granian_d.interface.fields import declared_length, is_event_stream
from granian_d.interface.files import open_regular
from granian_d.interface.rsgi.faults import ProtocolClosed, ProtocolError
from granian_d.interface.rsgi.headers import encode_headers
from granian_d.interface.rsgi.transport import HTTPStreamTransport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Iterable

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields
    from granian_d.interface.files import OpenFile

    Headers = Iterable[tuple[str, str]]

_NOT_FOUND = [(b"content-type", b"text/plain; charset=utf-8")]


# Typed in the compiled form.
_FINISHED: Final = states.FINISHED


class HTTPProtocol:
    """One request's body and its response.

    Attributes:
        responded: a response has been given.
    """

    __slots__ = (
        "_body_taken",
        "_exchange",
        "_file",
        "_iterating",
        "_loop",
        "_readers",
        "responded",
    )

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self._body_taken = False
        self._iterating = False
        self._readers: tuple[asyncio.Future[None], ...] = ()
        self._file: OpenFile | None = None  # while it is being sent
        self.responded = False

    @property
    def is_sending_file(self) -> bool:
        """A file is being sent, which needs the application no more."""
        return self._file is not None

    # --- the request -------------------------------------------------------------------------

    def __call__(self) -> Coroutine[Any, Any, bytes]:
        """The whole body.

        Raises:
            ProtocolError: the body has been asked for before.
            ProtocolClosed: (when awaited) it will never be complete.
        """
        self._take_body()
        return self._whole_body()

    def __aiter__(self) -> HTTPProtocol:
        self._take_body()
        self._iterating = True
        return self

    async def __anext__(self) -> bytes:
        if not self._iterating:
            raise StopAsyncIteration
        try:
            part = await self._part()
        except RemoteError as error:
            forget_frames(error)
            part = b""
        if not part:  # RSGI yields the empty part at the end, too
            self._iterating = False
        return part

    async def client_disconnect(self) -> None:
        """Wait until the peer has gone. Who no longer cares cancels the wait."""
        exchange = self._exchange
        if exchange.gone:
            return
        waiter = self._loop.create_future()
        forget = exchange.when_gone(partial(_resolve, waiter))
        try:
            await waiter
        finally:
            forget()

    def _take_body(self) -> None:
        if self._body_taken:
            raise ProtocolError
        self._body_taken = True

    async def _whole_body(self) -> bytes:
        parts = []
        try:
            while part := await self._part():
                parts.append(part)
        except RemoteError as error:
            forget_frames(error)
            raise ProtocolClosed from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _part(self) -> bytes:
        exchange = self._exchange
        while True:
            part = exchange.pull()
            if part is not None:
                return part
            waiter = self._loop.create_future()
            self._readers += (waiter,)
            exchange.when_readable(self._wake_readers)
            await waiter

    def _wake_readers(self) -> None:
        waiters, self._readers = self._readers, ()
        for waiter in waiters:
            _resolve(waiter)

    # --- the response ------------------------------------------------------------------------

    def response_empty(self, status: int = 200, headers: Headers = ()) -> None:
        """Answer without content."""
        self._respond(status, headers, b"")

    def response_bytes(self, status: int = 200, headers: Headers = (), body: bytes = b"") -> None:
        """Answer with bytes."""
        self._respond(status, headers, body if type(body) is bytes else bytes(body))

    def response_str(self, status: int = 200, headers: Headers = (), body: str = "") -> None:
        """Answer with text, as UTF-8."""
        if not isinstance(body, str):
            raise TypeError(f"response_str takes str, not {type(body).__name__}")
        self._respond(status, headers, body.encode())

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        """Answer with a file; 404 when there is none. The application gives all headers."""
        self._respond_file(status, headers, file, 0, None)

    def response_file_range(
        self, status: int, headers: Headers, file: str, start: int, end: int
    ) -> None:
        """Answer with the bytes of a file from `start` to before `end`, or to its end.

        Raises:
            ValueError: there is no such range.
        """
        if not 0 <= start < end:
            raise ValueError("Invalid range")
        self._respond_file(status, headers, file, start, end)

    def response_stream(self, status: int = 200, headers: Headers = ()) -> HTTPStreamTransport:
        """Begin an answer whose parts are then given to the transport.

        Raises:
            ProtocolError: a response has been given already.
        """
        if self.responded:
            raise ProtocolError
        fields = encode_headers(headers)
        if self._start(status, fields) and is_event_stream(fields):
            self._send(b"", last=False)
        return HTTPStreamTransport(self._exchange, self._loop)

    def _respond(self, status: int, headers: Headers, body: bytes) -> None:
        if not self.responded and self._start(status, encode_headers(headers)):
            self._send(body, last=True)

    def _respond_file(
        self, status: int, headers: Headers, path: str, start: int, end: int | None
    ) -> None:
        if self.responded:
            return
        try:
            file = open_regular(path)
        except (OSError, ValueError):
            if self._start(404, _NOT_FOUND):
                self._send(b"Not found", last=True)
            return
        self._file = file
        end = file.size_bytes if end is None else min(end, file.size_bytes)
        try:
            self._send_file(status, encode_headers(headers), start, max(start, end))
        except BaseException:
            self._close_file()
            raise

    def _send_file(self, status: int, fields: Fields, start: int, end: int) -> None:
        declared = declared_length(fields)
        if declared is None:
            fields.append((b"content-length", b"%d" % (end - start)))
        else:
            end = min(end, start + declared)  # it has grown since the application looked
        exchange, file = self._exchange, self._file
        assert file is not None
        if not self._start(status, fields):
            self._close_file()
        else:
            exchange.send_file(file.fd, start, end - start, partial(self._file_done, end))

    def _start(self, status: int, fields: Fields) -> bool:
        """Start the response; False when there is nobody to send it to."""
        exchange = self._exchange
        self.responded = True
        if exchange.state >= _FINISHED:
            return False  # the engine has ended the exchange
        try:
            exchange.start(status, fields)
        except Disconnected:
            return False
        except InvalidResponse:
            self.responded = False
            raise
        return True

    def _send(self, body: bytes, last: bool) -> None:
        try:
            self._exchange.send(body, last)
        except Disconnected:
            self._exchange.abort()

    def _file_done(self, end: int, complete: bool) -> None:
        file, exchange = self._file, self._exchange
        if file is not None and not complete:
            file.look()
            if file.size_bytes < end:
                error = InvalidResponse("a file became shorter while it was sent")
                exchange.observer.crashed(exchange, error)
        self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
