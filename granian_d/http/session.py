"""A Session: one WebSocket conversation (RFC 6455), between an engine below and an interface above.

It begins as an Exchange whose head asks for it. The interface accepts it here, or refuses it by an
ordinary response on that exchange; until one of them it is merely offered. All of it happens on the
thread of the worker's loop; who must wait leaves a callback, called once at the next change.

    accept(subprotocol, fields)              once, or `exchange.start` instead
    pull() -> str | bytes | None             a whole message; None to wait
    when_readable(callback)
    send(data) -> room?                      a whole message: str is text, bytes is binary
    when_room(callback)
    close(code, reason)

Fragments, pings, pongs, compression and the closing handshake are the engine's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from granian_d.errors import FlowError, SessionClosed

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import FieldPairs

Callback = Callable[[], None]

OFFERED: Final = 0  # asked for, not accepted yet
OPEN: Final = 1
CLOSING: Final = 2  # we have said Close; the peer has not, or what it sent before is not read yet
CLOSED: Final = 3  # over for the application: nothing can be sent any more

NAMES: Final = {
    OFFERED: "has not been accepted",
    OPEN: "is open",
    CLOSING: "is being closed",
    CLOSED: "is closed",
}

# `NEXT[state][input]` is the state that follows; what is not in it is a FlowError.
NEXT: Final[dict[int, dict[str, int]]] = {
    OFFERED: {"accept": OPEN, "end": CLOSED},
    OPEN: {"send": OPEN, "close": CLOSING, "end": CLOSED},
    CLOSING: {"close": CLOSING, "end": CLOSED},
    CLOSED: {"close": CLOSED, "end": CLOSED},
}

NO_CODE: Final = 1005  # the peer's Close had none (RFC 6455 7.1.5)
ABNORMAL: Final = 1006  # the peer has gone without a Close


class Session:
    """One conversation; see the head of this file.

    Attributes:
        exchange: the request for it; ends with the conversation.
        subprotocols: that the peer offers, in its order of preference.
        state: a constant of this file.
        code: why it ended, 0 while it has not: the peer's close code, or NO_CODE, or ABNORMAL; ours
            where the engine has ended it, because the peer broke a rule or the worker leaves.
        reason: that was given with the code.
    """

    __slots__ = (
        "_messages",
        "_on_readable",
        "_on_room",
        "code",
        "exchange",
        "reason",
        "state",
        "subprotocols",
    )

    def __init__(self, exchange: Exchange, subprotocols: tuple[str, ...]) -> None:
        self.exchange = exchange
        self.subprotocols = subprotocols
        self.state = OFFERED
        self.code = 0
        self.reason = ""
        self._messages: deque[str | bytes] | None = None  # made when the first message comes
        self._on_readable: Callback | None = None
        self._on_room: Callback | None = None

    # --- for the interface -------------------------------------------------------------------

    def accept(self, subprotocol: str | None, fields: FieldPairs) -> None:
        """Begin the conversation.

        Args:
            subprotocol: one of those that are offered, or None.
            fields: further ones for the handshake's response.

        Raises:
            InvalidResponse: a field must not go out, or the subprotocol was not offered; the
                exchange can still be answered.
            FlowError: it has been accepted or refused already.
            Disconnected: the peer has gone.
        """
        raise NotImplementedError

    def pull(self) -> str | bytes | None:
        """The next message, None to wait.

        Raises:
            SessionClosed: there will be no other; `code` and `reason` say why.
        """
        if self._messages:
            message = self._messages.popleft()
            self._message_taken(message)
            return message
        if self.state == CLOSED:
            raise SessionClosed(self.code, self.reason)
        return None

    def when_readable(self, callback: Callback) -> None:
        """Call `callback` once when `pull` has something new to say. One waiter at a time."""
        self._on_readable = callback

    def send(self, data: str | bytes) -> bool:
        """Send a message.

        Returns:
            True when there is room for more; False to wait with `when_room` first.

        Raises:
            SessionClosed: the peer has gone, or has said Close.
            FlowError: not accepted yet, or closed by the application.
        """
        raise NotImplementedError

    def when_room(self, callback: Callback) -> None:
        """Call `callback` once when `send` has room again, or the session is over. One waiter."""
        self._on_room = callback

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say Close, and end once the peer has said it, too. Nothing happens when it is over.

        Args:
            code: 1000 to 1003, 1007 to 1014 (RFC 6455 7.4, IANA), or 3000 to 4999.
            reason: at most 123 bytes of UTF-8.

        Raises:
            InvalidResponse: code or reason must not go out.
            FlowError: not accepted yet.
        """
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection or stream: the application has failed. Idempotent."""
        raise NotImplementedError

    # --- fed by the engine -------------------------------------------------------------------

    def feed(self, message: str | bytes) -> None:
        """A message has arrived whole."""
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        self._wake_reader()

    def feed_closed(self, code: int, reason: str) -> None:
        """There will be no other message, and none can be sent."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.code = code
            self.reason = reason
        self._wake_reader()
        self.feed_room()

    def feed_room(self) -> None:
        """There is room again, or never will be."""
        callback, self._on_room = self._on_room, None
        if callback is not None:
            callback()

    # --- for the engine's subclass -----------------------------------------------------------

    def _advance(self, move: str) -> None:
        """Take the step `move` of the table, or refuse it."""
        following = NEXT[self.state].get(move)
        if following is None:
            if self.state == CLOSED:
                raise SessionClosed(self.code, self.reason)
            raise FlowError(f"cannot {move}: the conversation {NAMES[self.state]}")
        self.state = following

    def _message_taken(self, message: str | bytes) -> None:
        """A message has left the buffer: the engine may read on."""

    def _wake_reader(self) -> None:
        callback, self._on_readable = self._on_readable, None
        if callback is not None:
            callback()
