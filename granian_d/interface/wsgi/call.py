"""One call of a WSGI application: PEP 3333 from the server's side, wherever it runs.

Rules of this file: nothing here touches the Exchange, waits, or knows a thread. What is to be sent
goes through the three methods that `thread_call` and `loop_call` have each in their own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import FlowError, InvalidResponse
from granian_d.http.semantics import has_content
from granian_d.interface.wsgi.response import encode_fields, length_of, parse_status

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields
    from granian_d.interface.contract import Application
    from granian_d.interface.wsgi.environ import Environ
    from granian_d.interface.wsgi.file_wrapper import FilePart

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


_NO_FIELDS: Final[Fields] = []  # before start_response; nobody changes it


class WsgiCall:
    """One request on its way through the application.

    Attributes:
        exchange: what is answered; for the loop's thread.
        started: the head has been put: it cannot be taken back.
        wrote: the application has used `write`.
    """

    __slots__ = (
        "_app",
        "_body",
        "_complete",
        "_declared",
        "_environ",
        "_fields",
        "_given",
        "_sent_bytes",
        "_single",
        "_status",
        "exchange",
        "started",
        "wrote",
    )

    def _prepare(
        self, app: Application, environ: Environ, body: io.BufferedIOBase, exchange: Exchange
    ) -> None:
        """Be ready to run; a constructor's work, without a constructor's price.

        Args:
            app: the application.
            environ: of the request.
            body: its wsgi.input, closed at the end.
            exchange: what is answered.
        """
        self._app = app
        self._environ = environ
        self._body = body
        self.exchange = exchange
        self.started = False
        self.wrote = False
        self._given = False  # start_response has been called
        self._status = 0
        self._fields = _NO_FIELDS
        self._declared: int | None = None  # bytes of the body, as the application says
        self._single = False  # the iterable says that it has one part
        self._sent_bytes = 0
        self._complete = False  # the last byte has been put

    # --- what the application calls ----------------------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take the head of the response, or replace it while it has not been sent.

        Returns:
            `write`, for applications that cannot return what they make: the call itself, so that
            nothing is made for those that do not want it.
        """
        if exc_info is not None:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame
        elif self._given:
            raise FlowError("start_response may be called once, but for exc_info")
        number, fields = parse_status(status), encode_fields(headers)
        self._declared = length_of(fields)
        self._status, self._fields, self._given = number, fields, True
        return self

    def __call__(self, part: bytes) -> None:
        """Be `write`."""
        self.write(part)

    def write(self, part: bytes) -> None:
        """Put a part of the body from within the application."""
        self.wrote = True
        self._add(part)

    # --- the response ------------------------------------------------------------------------

    def _put_whole(self, parts: Iterable[bytes]) -> None:
        """Put a body of which all parts are here: it gets a Content-Length by itself."""
        try:
            body = b"".join(parts)
        except TypeError as error:
            raise InvalidResponse(f"all parts of the body must be bytes: {error}") from error
        if self._declared is None and not self.started:
            self._declared = len(body)
        self._check_enough(self._sent_bytes + len(body))
        self._add(body)
        self._end()

    def _parts_of(self, result: Any) -> Iterator[bytes]:
        """The parts of a body, to be put with `_put_next` one by one."""
        kind = type(result).__name__
        if isinstance(result, (bytes, str)):
            raise InvalidResponse(f"the application returned {kind}, not an iterable of bytes")
        try:
            parts: Iterator[bytes] = iter(result)
        except TypeError as error:
            raise InvalidResponse(
                f"the application returned {kind}, which is not iterable"
            ) from error
        # An iterable of length 1 has the whole body in that part (PEP 3333).
        self._single = hasattr(type(result), "__len__") and len(result) == 1
        return parts

    def _put_next(self, part: bytes) -> None:
        """Put what an iterable has given."""
        if self._single and self._declared is None and self._sent_bytes == 0:
            self._declared = len(part)
        self._add(part)

    def _end(self) -> None:
        """The application has nothing more to send."""
        if not self._complete:
            self._check_enough(self._sent_bytes)
            self._put(b"", True)

    def _put_file(self, part: FilePart) -> None:
        """Put the rest of a file."""
        declared = self._declared
        try:
            if declared is not None and declared > part.length:
                raise InvalidResponse(
                    f"the file has {part.length} of the {declared} bytes declared"
                )
            self._check_given()
            if declared is None:
                self._fields = [*self._fields, (b"content-length", b"%d" % part.length)]
            else:
                part = part._replace(length=declared)
            if has_content(self.exchange.head.method, self._status):
                self._start()
                self._send_file(part)
                self._complete = True
            else:
                self._put(b"", True)
                part.file.close()
        except BaseException:
            part.file.close()
            raise

    def _add(self, part: bytes) -> None:
        if not isinstance(part, bytes):
            raise InvalidResponse(f"a part of the body must be bytes, not {type(part).__name__}")
        if not part:
            return
        self._sent_bytes += len(part)
        if self._declared is not None and self._sent_bytes > self._declared:
            raise InvalidResponse(f"the body has more than the {self._declared} bytes declared")
        self._put(part, self._sent_bytes == self._declared)

    def _put(self, part: bytes, last: bool) -> None:
        if not self.started:
            self._check_given()
            self._start()
        self._send(part, last)
        self._complete = last

    def _check_given(self) -> None:
        if not self._given:
            raise FlowError("the application sent a body without having called start_response")

    def _check_enough(self, total: int) -> None:
        declared = self._declared
        short = declared is not None and total < declared
        if short and self._given and has_content(self.exchange.head.method, self._status):
            raise InvalidResponse(f"the body has {total} of the {declared} bytes declared")

    # --- the way out, which depends on where the call runs -------------------------------------

    def _start(self) -> None:
        """Put the head; sets `started`."""
        raise NotImplementedError

    def _send(self, part: bytes, last: bool) -> None:
        """Put a part of the body.

        Raises:
            Disconnected: it goes nowhere.
        """
        raise NotImplementedError

    def _send_file(self, part: FilePart) -> None:
        """Put the rest of the body, from a file that is closed once it was sent.

        Raises:
            Disconnected: it goes nowhere; the file is still the caller's.
        """
        raise NotImplementedError
