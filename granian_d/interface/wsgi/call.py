"""One call of a WSGI application, in its thread: PEP 3333 from the server's side.

Rules of this file: nothing here touches the Exchange; what is to be sent goes through Crossing.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.http.semantics import has_content
from granian_d.interface.fields import declared_length
from granian_d.interface.wsgi.file_wrapper import FileWrapper, plain_file
from granian_d.interface.wsgi.response import encode_fields, parse_status

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from granian_d.http.message import Fields
    from granian_d.interface.contract import Application
    from granian_d.interface.wsgi.crossing import Crossing
    from granian_d.interface.wsgi.environ import Environ

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


class WsgiCall:
    """One request on its way through the application.

    Args:
        app: the application.
        environ: of the request.
        body: its wsgi.input, closed at the end.
        method: of the request.
        crossing: takes the response.
    """

    __slots__ = (
        "_app",
        "_body",
        "_complete",
        "_crossing",
        "_declared",
        "_environ",
        "_fields",
        "_given",
        "_method",
        "_sent_bytes",
        "_status",
    )

    def __init__(
        self,
        app: Application,
        environ: Environ,
        body: io.BufferedIOBase,
        method: str,
        crossing: Crossing,
    ) -> None:
        self._app = app
        self._environ = environ
        self._body = body
        self._method = method
        self._crossing = crossing
        self._given = False  # start_response has been called
        self._status = 0
        self._fields: Fields = []
        self._declared: int | None = None  # bytes of the body, as the application says
        self._sent_bytes = 0
        self._complete = False  # the last byte has been put

    def run(self) -> None:
        """Call the application and put its response. Never raises."""
        # A context of its own: what one request leaves in a context variable is not the next's.
        Context().run(self._run)

    def _run(self) -> None:
        try:
            self._answer()
        except BaseException as error:  # noqa: BLE001 - SystemExit too: the thread has more to do
            with suppress(Disconnected):  # the loop has been closed: nobody is left to tell
                self._crossing.crash(error)
        finally:
            self._body.close()

    def _answer(self) -> None:
        result = self._app(self._environ, self.start_response)
        try:
            if type(result) is FileWrapper and self._put_file(result):
                return
            self._put_all(result)
            self._end()
        finally:
            # PEP 3333: called once the request is over, however it came to be.
            close = getattr(result, "close", None)
            if close is not None:
                close()

    # --- what the application calls ----------------------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take the head of the response, or replace it while it has not been sent.

        Returns:
            `write`, for applications that cannot return what they make.
        """
        if exc_info is not None:
            try:
                if self._crossing.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame
        elif self._given:
            raise FlowError("start_response may be called once, but for exc_info")
        number, fields = parse_status(status), encode_fields(headers)
        self._declared = declared_length(fields)
        self._status, self._fields, self._given = number, fields, True
        return self.write

    def write(self, part: bytes) -> None:
        """Put a part of the body from within the application."""
        if not isinstance(part, bytes):
            raise InvalidResponse(f"a part of the body must be bytes, not {type(part).__name__}")
        if not part:
            return
        self._sent_bytes += len(part)
        if self._declared is not None and self._sent_bytes > self._declared:
            raise InvalidResponse(f"the body has more than the {self._declared} bytes declared")
        self._put(part, self._sent_bytes == self._declared)

    # --- the response ------------------------------------------------------------------------

    def _put_all(self, result: Any) -> None:
        kind = type(result)
        if kind is list or kind is tuple:
            # All parts are there: one is as good as many, and gets a Content-Length by itself.
            self._put_whole(result)
            return
        if isinstance(result, (bytes, str)):
            raise InvalidResponse(
                f"the application returned {kind.__name__}, not an iterable of bytes"
            )
        try:
            parts = iter(result)
        except TypeError as error:
            raise InvalidResponse(
                f"the application returned {kind.__name__}, which is not iterable"
            ) from error
        single = _is_single(result)
        for part in parts:
            if single and self._declared is None and self._sent_bytes == 0:
                self._declared = len(part)
            self.write(part)

    def _put_whole(self, parts: Iterable[bytes]) -> None:
        try:
            body = b"".join(parts)
        except TypeError as error:
            raise InvalidResponse(f"all parts of the body must be bytes: {error}") from error
        if self._declared is None and not self._crossing.started:
            self._declared = len(body)
        self._check_enough(self._sent_bytes + len(body))
        self.write(body)

    def _end(self) -> None:
        """The application has nothing more to send."""
        if self._complete:
            return
        self._check_enough(self._sent_bytes)
        self._put(b"", True)

    def _check_enough(self, total: int) -> None:
        declared = self._declared
        short = declared is not None and total < declared
        if short and self._given and has_content(self._method, self._status):
            raise InvalidResponse(f"the body has {total} of the {declared} bytes declared")

    def _put(self, part: bytes, last: bool) -> None:
        if not self._crossing.started:
            self._start()
        self._crossing.put(part, last)
        self._complete = last

    def _start(self) -> None:
        if not self._given:
            raise FlowError("the application sent a body without having called start_response")
        self._crossing.start(self._status, self._fields)

    def _put_file(self, wrapper: FileWrapper) -> bool:
        """Put the rest of a file at once; False when it must be read block by block."""
        part = None if self._sent_bytes else plain_file(wrapper)
        if part is None:
            return False
        try:
            length = part.length if self._declared is None else self._declared
            if length > part.length:
                raise InvalidResponse(f"the file has {part.length} of the {length} bytes declared")
            if self._declared is None:
                self._fields.append((b"content-length", b"%d" % length))
            self._start()
            if has_content(self._method, self._status):
                self._crossing.put_file(part._replace(length=length))
            else:
                self._crossing.put(b"", True)
                part.file.close()
            self._complete = True
        except BaseException:
            part.file.close()
            raise
        return True


def _is_single(result: Any) -> bool:
    """Whether an iterable says that it has one part, which is then the whole body (PEP 3333)."""
    return hasattr(type(result), "__len__") and len(result) == 1
