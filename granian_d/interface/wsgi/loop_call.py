"""A call that runs on the loop's own thread: for an application that has proved to be quick.

Rules of this file:
- Application code runs inside `Visit` and in the call's own context; all else runs outside.
- Nothing waits. The iterable is advanced by callbacks: when there is room for another part, and
  not before the loop has turned, so that what was sent is on its way while the application makes
  the next part, or tidies up in close() (PEP 3333, "Buffering and Streaming").
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, FlowError
from granian_d.http import states
from granian_d.interface.wsgi.call import WsgiCall
from granian_d.interface.wsgi.ends import crashed, refused
from granian_d.interface.wsgi.file_wrapper import (
    FilePart,
    FileSending,
    FileWrapper,
    plain_file,
)

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

    from granian_d.http.exchange import Exchange
    from granian_d.interface.wsgi.environ import Environ
    from granian_d.interface.wsgi.lone import LoneApplication

# What the first call with `write` may put into memory: as a rule, once in the life of a worker.
WRITTEN_BYTES: Final = 64 * 1024 * 1024

_ABORTED: Final = states.ABORTED  # typed in the compiled form
_NO_MORE: Final = object()  # behind the last part
_CLOSED: Final = object()  # behind close()


class LoopCall(WsgiCall):
    """One request on its way through the application; see WsgiCall.

    Made by `__new__` and `prepare`, which compiled is half the price of a constructor.

    Attributes:
        turned: the loop has turned since the call began.
        waited: for room, so how long the call took was not in its hands.
    """

    __slots__ = ("_close", "_context", "_owner", "_parts", "_room", "_visit", "turned", "waited")

    def prepare(
        self, owner: LoneApplication, environ: Environ, body: io.BufferedIOBase, exchange: Exchange
    ) -> None:
        """Be ready to run.

        Args:
            owner: has the application, and is told when the call is over.
            environ: of the request.
            body: its wsgi.input, closed at the end.
            exchange: what is answered.
        """
        self._prepare(owner.app, environ, body, exchange)
        self._owner = owner
        self._visit = owner.visit  # brackets the application's code
        self._context = Context()  # as in ThreadCall: empty, and for this request alone
        self._parts: Iterator[bytes] | None = None
        self._close: Callable[[], object] | None = None
        self._room = True
        self.turned = False
        self.waited = False

    def run(self) -> None:
        """Call the application and send its response, or as much as can be sent. Never raises."""
        self._visit.enter()
        try:
            made = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: the loop goes on
            self._visit.leave()
            self._fail(error)
            return
        self._visit.leave()
        if self._parts is None and self._is_simple(made):
            self._answer(made[0])
        else:
            self._give(made)

    # --- in the visits -------------------------------------------------------------------------

    def write(self, part: bytes) -> None:
        """See WsgiCall. It cannot wait for room here, so there is an end to it."""
        WsgiCall.write(self, part)
        if self._sent_bytes > WRITTEN_BYTES:
            raise FlowError(
                f"more than {WRITTEN_BYTES} bytes through write() by an application that has never"
                f" used it before; it runs in a thread from now on, and there it may"
            )

    def _call(self) -> Any:
        """Call the application: a whole body, the rest of a file, or the first of many parts."""
        result = self._app(self._environ, self.start_response)
        kind = type(result)
        if kind is list or kind is tuple:
            return result
        self._close = getattr(result, "close", None)
        if kind is FileWrapper and not self._sent_bytes:
            file = plain_file(result)
            if file is not None:
                return file
        self._parts = self._parts_of(result)
        if self.started:  # by `write`
            return b""
        return next(self._parts, _NO_MORE)

    def _continue(self) -> Any:
        """The next part; or, when nothing more can be sent, close()."""
        if self._parts is not None and self.exchange.state != _ABORTED:
            part = next(self._parts, _NO_MORE)
            if part is not _NO_MORE or not self._complete:
                return part
        self._parts = None
        self._tidy_up()
        return _CLOSED

    def _tidy_up(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()

    # --- between them --------------------------------------------------------------------------

    def _is_simple(self, made: Any) -> bool:
        """Whether it is the common answer: one part, all of the body."""
        kind = type(made)
        if (kind is not list and kind is not tuple) or len(made) != 1:
            return False
        body = made[0]
        if type(body) is not bytes or not self._given or self.started:
            return False
        return self._declared is None or self._declared == len(body)

    def _answer(self, body: bytes) -> None:
        exchange = self.exchange
        try:
            exchange.start(self._status, self._fields)
            exchange.send(body, True)
        except Exception as error:  # noqa: BLE001 - judged in `refused`
            refused(exchange, error)
        self._end_call()

    def _give(self, made: Any) -> None:
        """Send what was made, and see to it that the call goes on."""
        try:
            if self._parts is not None:
                if made is _NO_MORE:
                    self._parts = None
                    self._end()
                else:
                    self._put_next(made)
            elif type(made) is FilePart:
                self._put_file(made)
            else:
                self._put_whole(made)
                self._end_call()
                return
        except BaseException as error:  # noqa: BLE001 - as above
            self._fail(error)
            return
        if self._room or self._complete:
            self._owner.soon(self._go_on)
        else:
            self.waited = True
            self.exchange.when_room(self._go_on)

    def _go_on(self) -> None:
        """What was sent is on its way."""
        self.turned = True
        self._visit.enter()
        try:
            made = self._context.run(self._continue)
        except BaseException as error:  # noqa: BLE001 - as above
            self._visit.leave()
            self._fail(error)
            return
        self._visit.leave()
        if made is _CLOSED:
            self._end_call()
        else:
            self._give(made)

    def _fail(self, error: BaseException) -> None:
        """`error` came out of the application, or is about what it has made."""
        self._visit.enter()
        try:
            self._context.run(self._tidy_up)
        except BaseException as another:  # noqa: BLE001 - as above
            error = another
        self._visit.leave()
        crashed(self.exchange, error)
        self._end_call()

    def _end_call(self) -> None:
        self._parts = None  # its frames may hold `start_response`, and that this call
        self._body.close()
        self._owner.ended(self)

    # --- the way out ---------------------------------------------------------------------------

    def _start(self) -> None:
        self.started = True
        try:
            self.exchange.start(self._status, self._fields)
        except Exception as error:  # noqa: BLE001 - judged in `refused`
            self._refuse(error)

    def _send(self, part: bytes, last: bool) -> None:
        try:
            self._room = self.exchange.send(part, last)
        except Exception as error:  # noqa: BLE001 - judged in `refused`
            self._refuse(error)

    def _send_file(self, part: FilePart) -> None:
        FileSending(self.exchange, part).begin()

    def _refuse(self, error: Exception) -> None:
        refused(self.exchange, error)
        raise Disconnected("nothing more of the response goes out") from error
