"""A call that runs in a thread of the pool, from the call to close(). It may wait for anything."""

from __future__ import annotations

from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from granian_d.errors import Disconnected
from granian_d.interface.wsgi.call import WsgiCall
from granian_d.interface.wsgi.crossing import Crossing
from granian_d.interface.wsgi.file_wrapper import FileWrapper, plain_file

if TYPE_CHECKING:
    import asyncio
    import io

    from granian_d.http.exchange import Exchange
    from granian_d.interface.contract import Application
    from granian_d.interface.wsgi.environ import Environ
    from granian_d.interface.wsgi.file_wrapper import FilePart


class ThreadCall(WsgiCall):
    """One request on its way through the application; see WsgiCall.

    Args:
        app: the application.
        environ: of the request.
        body: its wsgi.input, closed at the end.
        exchange: what is answered.
        loop: on whose thread the exchange lives.
    """

    __slots__ = ("_crossing",)

    def __init__(
        self,
        app: Application,
        environ: Environ,
        body: io.BufferedIOBase,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._prepare(app, environ, body, exchange)
        self._crossing = Crossing(exchange, loop)

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
            self._give(result)
        finally:
            # PEP 3333: called once the request is over, however it came to be.
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _give(self, result: Any) -> None:
        kind = type(result)
        if kind is list or kind is tuple:
            self._put_whole(result)
            return
        if kind is FileWrapper and not self._sent_bytes:
            file = plain_file(result)
            if file is not None:
                self._put_file(file)
                return
        for part in self._parts_of(result):
            self._put_next(part)
        self._end()

    # --- the way out ---------------------------------------------------------------------------

    def _start(self) -> None:
        self.started = True
        self._crossing.start(self._status, self._fields)

    def _send(self, part: bytes, last: bool) -> None:
        self._crossing.put(part, last)

    def _send_file(self, part: FilePart) -> None:
        self._crossing.put_file(part)
