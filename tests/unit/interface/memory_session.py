"""The counterpart of `Interface.converse`: a Session in memory, whose peer is the test.

Nothing here is under test. The session keeps what the application sends and demands what the
contract in granian_d/http/session.py promises. Room is counted in messages: beyond `room` of
them `send` returns False, until the test reads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from granian_d.errors import Disconnected, InvalidResponse, SessionClosed
from granian_d.http import semantics, states
from granian_d.http.message import Peer, RequestHead
from granian_d.http.session import ABNORMAL, CLOSED, NAMES, NO_CODE, OFFERED, OPEN, Session
from granian_d.interface.registry import load

from .memory import TCP, MemoryExchange, context

if TYPE_CHECKING:
    from collections.abc import Callable

HANDSHAKE = (
    (b"host", b"example.org"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
)


def asked(target: bytes = b"/", *, version: Any = "1.1") -> RequestHead:
    """The head of a request for a session (RFC 6455 4.1, RFC 8441 4)."""
    path, _, query = target.partition(b"?")
    method, fields = ("GET", list(HANDSHAKE)) if version == "1.1" else ("CONNECT", [])
    host = b"example.org"
    return RequestHead(method, path, query, host, version, fields, 0, False, "websocket")


class MemorySession(Session):
    """One session.

    Attributes:
        sends: messages of the application, in order.
        closes: (code, reason) that it has closed with.
        accepted: (subprotocol, fields) of the handshake's response.
    """

    __slots__ = ("_news", "_room", "_said", "_unread", "accepted", "closes", "sends", "taken")

    def __init__(
        self,
        head: RequestHead | None = None,
        subprotocols: tuple[str, ...] = (),
        *,
        peer: Peer = TCP,
        room: int = 1 << 20,
        room_bytes: int = 1 << 20,
    ) -> None:
        exchange = MemoryExchange(head or asked(), peer=peer, room_bytes=room_bytes)
        super().__init__(exchange, subprotocols)
        self.sends: list[str | bytes] = []
        self.closes: list[tuple[int, str]] = []
        self.accepted: tuple[str | None, list[tuple[bytes, bytes]]] | None = None
        self.taken = 0
        self._room = room
        self._said = 0
        self._unread = 0
        self._news = asyncio.Event()

    # --- what the test does ----------------------------------------------------------------------

    def say(self, *messages: str | bytes) -> None:
        """The peer sends messages."""
        for message in messages:
            self.feed(message)

    def read(self) -> None:
        """The peer has read all that was sent."""
        self._unread = 0
        self.feed_room()

    def end(self, code: int = NO_CODE, reason: str = "") -> None:
        """The session is over: the peer has said Close, or the worker leaves."""
        self.feed_closed(code, reason)
        self.exchange.close_tunnel()
        self._news.set()

    def leave(self, code: int) -> None:
        """The worker says Close; the peer has not answered yet."""
        self._said = code
        self.feed_room()

    def lose(self) -> None:
        """The connection is gone. While the session is merely offered it is the exchange's."""
        if self.state == OFFERED:
            self.exchange.lose()
        else:
            self.end(ABNORMAL)

    @property
    def state_name(self) -> str:
        return NAMES[self.state]

    @property
    def crashes(self) -> list[BaseException]:
        return self.exchange.crashes

    @property
    def answer(self) -> tuple[int, bytes, str]:
        """Status, body and state of the response that refuses the session."""
        return self.exchange.status, self.exchange.body, self.exchange.state_name

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition holds; it is asked whenever something has happened here."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    # --- what the contract promises --------------------------------------------------------------

    def accept(self, subprotocol: str | None, fields: Any) -> None:
        if self.exchange.gone or self.exchange.state == states.ABORTED:
            raise Disconnected("the peer has gone")
        assert subprotocol is None or type(subprotocol) is str
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise InvalidResponse("a subprotocol that was not offered")
        judged = semantics.judge_response(200, fields)
        if b"sec-websocket-protocol" in judged.names:
            raise InvalidResponse("Sec-WebSocket-Protocol is the subprotocol's")
        self._advance("accept")
        self.exchange._advance("tunnel")
        self.accepted = (subprotocol, judged.fields)
        self._news.set()

    def pull(self) -> str | bytes | None:
        self._news.set()
        return super().pull()

    def when_readable(self, callback: Any) -> None:
        self._news.set()
        super().when_readable(callback)

    def when_room(self, callback: Any) -> None:
        self._news.set()
        super().when_room(callback)

    def send(self, data: str | bytes) -> bool:
        assert type(data) in (str, bytes)
        self._advance("send")
        if self._said:
            raise SessionClosed(self._said)
        self.sends.append(data)
        self._unread += 1
        self._news.set()
        return self._unread <= self._room

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.state == CLOSED:
            return
        if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise InvalidResponse(f"{code} is no code to close with")
        if len(reason.encode()) > 123:
            raise InvalidResponse("a reason that is too long")
        first = self.state == OPEN
        self._advance("close")
        if first:
            self.closes.append((code, reason))
        self._news.set()

    def abort(self) -> None:
        if self.state != CLOSED:
            self.end(ABNORMAL)

    def _message_taken(self, message: str | bytes) -> None:
        self.taken += 1


def hold(run, name, app, session=None, script=None):
    """Have an application of an interface hold a session, and wait until both are done."""
    session = session or MemorySession()

    async def main():
        interface = load(name)(app, context(asyncio.get_running_loop()))
        await interface.startup()
        interface.converse(session)
        if script is not None:
            await script(session)
        await interface.settle()
        await interface.shutdown()

    run(main())
    for crash in session.crashes:
        if isinstance(crash, (AssertionError, pytest.fail.Exception)):
            raise crash  # the application is a part of the test
    return session
