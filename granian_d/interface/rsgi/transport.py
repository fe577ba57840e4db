"""The transport of a streamed RSGI response."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING

from granian_d.errors import Disconnected, InvalidResponse
from granian_d.http import states
from granian_d.interface.rsgi.faults import ProtocolClosed, ProtocolError

if TYPE_CHECKING:
    import asyncio
    from typing import Self

    from granian_d.http.exchange import Exchange


class HTTPStreamTransport:
    """Takes the parts of a body.

    The body is complete when the transport is closed, or when nothing refers to it any more, which
    is normally when the application's coroutine is over. RSGI has only the second.
    """

    __slots__ = ("_closed", "_exchange", "_loop", "_thread", "_waiters")

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._closed = False  # by the application
        self._exchange = exchange
        self._loop = loop
        self._thread = get_ident()
        self._waiters: list[asyncio.Future[None]] = []

    async def send_bytes(self, data: bytes) -> None:
        """Send a part; returns when there is room for the next.

        Raises:
            ProtocolClosed: the peer has gone.
            ProtocolError: the application has closed the stream.
        """
        await self._send(bytes(data))

    async def send_str(self, data: str) -> None:
        """Send a part of text, as UTF-8; otherwise as `send_bytes`.

        Raises:
            ProtocolClosed, ProtocolError: as `send_bytes`.
        """
        await self._send(data.encode())

    def close(self) -> None:
        """End the body. Nothing happens if it has ended, or the peer has gone.

        Not of RSGI: granian-d's own, as is `async with` on the transport, which closes it; when an
        error goes through, the response fails: it is cut, or a 500 if nothing of it is out.

        Raises:
            InvalidResponse: the body is shorter than its Content-Length.
        """
        self._closed = True
        if self._exchange.state == states.STARTED:
            try:
                self._exchange.finish()
            except Disconnected:
                self._exchange.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self.close()
            return
        self._closed = True
        if self._exchange.state == states.STARTED:
            self._exchange.fail()

    async def _send(self, data: bytes) -> None:
        exchange = self._exchange
        if self._closed:
            raise ProtocolError
        if exchange.state != states.STARTED:
            raise ProtocolClosed
        try:
            room = exchange.send(data)
        except Disconnected:
            raise ProtocolClosed from None
        if not room:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            exchange.when_room(self._wake)
            await waiter
            if exchange.state == states.ABORTED:
                raise ProtocolClosed

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def __del__(self) -> None:
        if self._exchange.state != states.STARTED:
            return
        if get_ident() == self._thread:
            _finish(self._exchange)
            return
        # Garbage is collected in whatever thread happens to allocate.
        try:
            self._loop.call_soon_threadsafe(_finish, self._exchange)
        except RuntimeError:  # the loop is closed, and all connections with it
            return


def _finish(exchange: Exchange) -> None:
    if exchange.state != states.STARTED:
        return
    try:
        exchange.finish()
    except Disconnected:
        exchange.abort()
    except InvalidResponse as error:
        exchange.observer.crashed(exchange, error)
        exchange.fail()
