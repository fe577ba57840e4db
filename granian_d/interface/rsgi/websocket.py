"""WebSocket in RSGI's terms: what an application is given, and what it receives.

Rules of this file, as RSGI has them:
- A session is accepted once, or refused once; to close it again is no error.
- One task receives at a time. Any number of tasks may send; each waits until there is room.
- A message of the kind `close` says that the peer has said Close; a peer that is lost says
  nothing, and receiving from it is ProtocolClosed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, SessionClosed
from granian_d.http import session as sessions
from granian_d.interface.acts import Act, nobody, wake, without
from granian_d.interface.ending import FORBIDDEN, NORMAL, has_gone, refuse
from granian_d.interface.rsgi.faults import ProtocolClosed, ProtocolError
from granian_d.interface.rsgi.headers import encode_headers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Iterable

    from granian_d.http.session import Session
    from granian_d.interface.acts import Waiters

# Typed in the compiled form.
_CLOSED: Final = sessions.CLOSED


class WebsocketMessageType(IntEnum):
    """What a received message is."""

    close = 0
    bytes = 1
    string = 2


_CLOSE: Final = WebsocketMessageType.close
_BYTES: Final = WebsocketMessageType.bytes
_STRING: Final = WebsocketMessageType.string


class WebsocketMessage:
    """A received message.

    Attributes:
        kind: a WebsocketMessageType.
    """

    __slots__ = ("_content", "kind")

    def __init__(
        self, kind: WebsocketMessageType, content: bytes | str | tuple[int, str] | None = None
    ) -> None:
        self.kind = kind
        self._content = content  # of a Close its code and reason

    @property
    def data(self) -> bytes | str:
        """What was sent; a message of kind `close` has none."""
        content = self._content
        if not isinstance(content, (bytes, str)):
            raise AttributeError(  # noqa: TRY004 - it has none, and `hasattr` says so
                "a message of the kind `close` has no data"
            )
        return content

    @property
    def code(self) -> int | None:
        """Of a Close, 1005 if it had none; None of other kinds. Not of RSGI: granian-d's own."""
        return self._content[0] if isinstance(self._content, tuple) else None

    @property
    def reason(self) -> str | None:
        """Of a Close, "" if it had none; None of other kinds. Not of RSGI: granian-d's own."""
        return self._content[1] if isinstance(self._content, tuple) else None


class WebsocketTransport:
    """An accepted session.

    Attributes:
        departed: the application has been told that its peer has gone.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_ended",
        "_loop",
        "_reader",
        "_session",
        "_writers",
        "departed",
    )

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._loop = loop
        self._closed = False  # by the application
        self._ended = False  # nothing will be received
        self._reader: asyncio.Future[None] | None = None
        self._writers: Waiters = ()
        self.departed = False

    def receive(self) -> Receiving:
        """The next message, when awaited.

        Raises:
            ProtocolClosed: there will be none.
            ProtocolError: another task waits for it.
        """
        return Receiving(self)

    def send_bytes(self, data: bytes) -> Sending:
        """Send a binary message; when awaited. Returns when there is room for the next.

        Raises:
            ProtocolClosed: the peer has gone.
            ProtocolError: the application has closed the session.
        """
        return Sending(self, data if type(data) is bytes else bytes(memoryview(data)))

    def send_str(self, data: str) -> Sending:
        """Send a text message; otherwise as `send_bytes`.

        Raises:
            ProtocolClosed, ProtocolError: as `send_bytes`.
        """
        if not isinstance(data, str):
            raise TypeError(f"send_str takes str, not {type(data).__name__}")
        return Sending(self, data)

    # --- what they come to -----------------------------------------------------------------------

    def received(self) -> WebsocketMessage | None:
        """The next message, None when one must wait for it."""
        if self._reader is not None:
            raise ProtocolError
        if self._ended:
            raise self._gone()
        try:
            data = self._session.pull()
        except SessionClosed as error:
            self._ended = True
            if error.code == sessions.ABNORMAL:
                raise self._gone() from None
            return WebsocketMessage(_CLOSE, (error.code, error.reason))
        if data is None:
            return None
        return WebsocketMessage(_STRING if type(data) is str else _BYTES, data)

    async def wait_for_message(self) -> WebsocketMessage:
        """The next message, when it has come; `received` has just found none."""
        message = None
        while message is None:
            self._reader = waiter = self._loop.create_future()
            self._session.when_readable(self._wake_reader)
            try:
                await waiter
            finally:
                if self._reader is waiter:  # it was cancelled
                    self._reader = None
                    self._session.when_readable(nobody)
            message = self.received()
        return message

    def take(self, data: bytes | str) -> Coroutine[Any, Any, None] | None:
        """Send a message; None, or the wait for room that must follow."""
        if self._closed:
            raise ProtocolError
        try:
            room = self._session.send(data)
        except Disconnected:
            raise self._gone() from None
        return None if room else self.wait_for_room()

    async def wait_for_room(self) -> None:
        """Wait until more can be sent."""
        waiter = self._loop.create_future()
        self._writers += (waiter,)
        self._session.when_room(self._wake_writers)
        try:
            await waiter
        finally:
            if waiter in self._writers:  # it was cancelled
                self._writers = without(waiter, self._writers)
                if not self._writers:
                    self._session.when_room(nobody)
        if self._session.state == _CLOSED and not self._closed:
            raise self._gone()

    def close(self, code: int, reason: str) -> None:
        """Say Close. What the peer has sent before it does so, too, is still received."""
        if not self._closed:
            self._session.close(code, reason)
            self._closed = True

    def end(self) -> None:
        """The call is over: what other tasks still wait for will not come."""
        self._ended = self._closed = True
        self._wake_reader()
        self._wake_writers()

    def _gone(self) -> ProtocolClosed:
        self.departed = True
        return ProtocolClosed()

    def _wake_reader(self) -> None:
        waiter, self._reader = self._reader, None
        if waiter is not None:
            wake((waiter,))

    def _wake_writers(self) -> None:
        waiters, self._writers = self._writers, ()
        wake(waiters)


class WebsocketProtocol:
    """An offered session: to be accepted, or to be closed."""

    __slots__ = ("__weakref__", "_loop", "_refused", "_session", "_transport")

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._loop = loop
        self._refused = False
        self._transport: WebsocketTransport | None = None

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """Those that the peer offers, as it prefers them. Not of RSGI: granian-d's own."""
        return self._session.subprotocols

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[str, str]] | None = None
    ) -> WebsocketTransport:
        """Accept it. The arguments are not of RSGI, but granian-d's own.

        Args:
            subprotocol: one of those that are offered.
            headers: further ones for the response to the handshake; what cannot be sent is
                dropped, as in other responses.

        Raises:
            InvalidResponse: the subprotocol was not offered, or a header must not go out; it can
                still be accepted.
            ProtocolClosed: the peer has gone.
            ProtocolError: it has been accepted before, or closed.
        """
        if self._refused or self._transport is not None:
            raise ProtocolError
        if has_gone(self._session):
            raise ProtocolClosed
        try:
            self._session.accept(subprotocol, () if headers is None else encode_headers(headers))
        except Disconnected:
            raise ProtocolClosed from None
        self._transport = WebsocketTransport(self._session, self._loop)
        return self._transport

    def close(self, status: int | None = None, reason: str = "") -> None:
        """End it; nothing happens if it has ended.

        Args:
            status: of the HTTP response that refuses it, 403 if None. Of an accepted one the code
                to close with; a status of HTTP says nothing there and means 1000, as None does.
            reason: to close with, at most 123 bytes. Of a refusal its text. With codes, it is not
                of RSGI, but granian-d's own.

        Raises:
            InvalidResponse: there is no such status or code, or the reason is too long; nothing
                was sent.
        """
        if self._transport is not None:
            code = NORMAL if status is None or status < NORMAL else status
            self._transport.close(code, reason)
        elif not self._refused and not has_gone(self._session):
            try:
                refuse(self._session.exchange, FORBIDDEN if status is None else status, reason)
            except Disconnected:
                self._session.exchange.abort()
            self._refused = True

    @property
    def departed(self) -> bool:
        """The application has been told that its peer has gone."""
        return self._transport is not None and self._transport.departed

    def end(self) -> None:
        """The call is over."""
        self._refused = True
        if self._transport is not None:
            self._transport.end()


class Receiving(Act):
    """One `receive()`."""

    __slots__ = ("_transport",)

    def __init__(self, transport: WebsocketTransport) -> None:
        self._transport = transport
        self._rest = None

    def _first_step(self) -> Any:
        message = self._transport.received()
        if message is None:
            self._rest = self._transport.wait_for_message()
        return message


class Sending(Act):
    """One `send_bytes(data)` or `send_str(data)`."""

    __slots__ = ("_data", "_transport")

    def __init__(self, transport: WebsocketTransport, data: bytes | str) -> None:
        self._transport = transport
        self._data = data
        self._rest = None

    def _first_step(self) -> Any:
        rest = self._transport.take(self._data)
        if rest is not None:
            self._rest = rest
