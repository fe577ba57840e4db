"""One WebSocket session in ASGI's terms: `receive` and `send` over a Session.

    phase     OFFERED --accept--> OPEN --close--> CLOSING
                |--close--> OVER                                 403
                '--http.response.start--> DENYING --body, the last--> OVER

What a message means at which phase is the table MOMENTS. The engine may end a session too (its
peer is lost, the worker leaves): what the application still sends is then SessionClosed, not its
fault. After its own Close messages still come, until the peer has said Close as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, FlowError, InvalidResponse, SessionClosed
from granian_d.http import session as sessions
from granian_d.http import states
from granian_d.interface.acts import nobody
from granian_d.interface.asgi.messages import as_bytes, as_fields, as_status, as_text, look_up
from granian_d.interface.asgi.talk import Talk
from granian_d.interface.departure import forget_frames
from granian_d.interface.ending import FORBIDDEN, NORMAL, end_raised, end_returned, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.asgi.scope import Scope
    from granian_d.interface.asgi.talk import Message
    from granian_d.interface.calls import Calls
    from granian_d.interface.contract import Application

# States of Session and Exchange, and the phases above. Typed in the compiled form.
_CLOSED: Final = sessions.CLOSED
_FINISHED: Final = states.FINISHED

OFFERED: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
DENYING: Final = 3
OVER: Final = 4

PHASES: Final = {
    OFFERED: "the session has not been accepted",
    OPEN: "the session has been accepted",
    CLOSING: "the session has been closed",
    DENYING: "the session is being refused by a response",
    OVER: "the session is over",
}

MOMENTS: Final = {
    "websocket.accept": (OFFERED,),
    "websocket.send": (OPEN,),
    "websocket.close": (OFFERED, OPEN),
    "websocket.http.response.start": (OFFERED,),
    "websocket.http.response.body": (DENYING,),
}


class Dialogue(Talk):
    """One call of the application for one Session."""

    __slots__ = (
        "_app",
        "_connected",
        "_departed",
        "_exchange",
        "_forget_gone",
        "_phase",
        "_scope",
        "_session",
    )

    def prepare(self, app: Application, scope: Scope, session: Session, calls: Calls) -> None:
        """Be the call of `app`: a constructor that C can call (see `new_dialogue`)."""
        self.task = None
        self.given_up = False
        self._app = app
        self._scope = scope
        self._session = session
        self._exchange = session.exchange
        self._calls = calls
        self._phase = OFFERED
        self._connected = False  # websocket.connect has been received
        self._departed = False  # the application has been told that its peer has gone
        self._readers = ()
        self._writers = ()
        self._forget_gone: Callable[[], object] | None = None

    # --- the call ----------------------------------------------------------------------------

    def begin(self) -> Awaitable[Any]:
        """See Call."""
        awaitable: Awaitable[Any] = self._app(self._scope, self.receive, self.send)
        return awaitable

    def returned(self) -> None:
        """See Call: refuse or close what the application has not."""
        end_returned(self._session)
        self._over()

    def raised(self, error: BaseException) -> None:
        """See Call: end the session as what came out of the application demands."""
        given_up = self._calls.closing or self.given_up
        ours = given_up and isinstance(error, asyncio.CancelledError)
        end_raised(self._session, error, ours, self._departed)
        self._over()

    def answers(self, exchange: Exchange) -> bool:
        """See Call."""
        return self._exchange is exchange

    def _over(self) -> None:
        """Nothing comes any more, and nothing can be sent."""
        self._phase = OVER
        self._forget()
        self._wake_all()

    def _forget(self) -> None:
        if self._forget_gone is not None:
            self._forget_gone()
            self._forget_gone = None  # it holds us: what is left must not wait for the collector

    # --- receive -----------------------------------------------------------------------------

    def received(self) -> Message | None:
        """See Talk."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self._phase != OPEN and self._phase != CLOSING:  # noqa: PLR1714 - integers in C
            gone = self._phase == OVER or self._exchange.gone or self._ended_below()
            return self._disconnect() if gone else None
        try:
            data = self._session.pull()
        except SessionClosed as error:
            forget_frames(error)
            return self._disconnect()
        if data is None:
            return None
        return {"type": "websocket.receive", "text" if type(data) is str else "bytes": data}

    def watch(self) -> None:
        """See Talk."""
        offered = self._phase == OFFERED or self._phase == DENYING  # noqa: PLR1714 - integers in C
        if offered and self._forget_gone is None:
            self._forget_gone = self._exchange.when_gone(self._wake_readers)
        self._session.when_readable(self._wake_readers)

    def unwatch(self) -> None:
        """See Talk."""
        self._session.when_readable(nobody)

    def _disconnect(self) -> Message:
        session = self._session
        code = session.code or sessions.ABNORMAL
        return {"type": "websocket.disconnect", "code": code, "reason": session.reason}

    # --- send --------------------------------------------------------------------------------

    def take(self, message: Message) -> Coroutine[Any, Any, None] | None:
        """See Talk."""
        try:
            return self._take(message)
        except Disconnected:
            self._departed = True
            raise

    def _take(self, message: Message) -> Coroutine[Any, Any, None] | None:
        kind = message["type"]
        if kind == "websocket.send":
            return None if self._send_data(message) else self.wait_for_room(self._session)
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._close(message)
        elif kind == "websocket.http.response.start":
            self._check(kind)
            fields = as_fields(look_up(message, "headers", ()))
            self._exchange.start(as_status(message), fields)
            self._phase = DENYING
        elif kind == "websocket.http.response.body":
            return None if self._send_body(message) else self.wait_for_room(self._exchange)
        else:
            raise FlowError(f"no message of a WebSocket session is called {kind!r}")
        return None

    def _accept(self, message: Message) -> None:
        self._check("websocket.accept")
        subprotocol = look_up(message, "subprotocol", None)
        if subprotocol is not None:
            subprotocol = as_text(subprotocol, "a subprotocol")
        self._session.accept(subprotocol, as_fields(look_up(message, "headers", None) or ()))
        self._phase = OPEN
        self._forget()

    def _send_data(self, message: Message) -> bool:
        """Send a message; whether there is room for more."""
        if self._phase != OPEN:
            self._check("websocket.send")
        text, data = look_up(message, "text", None), look_up(message, "bytes", None)
        if (text is None) == (data is None):
            raise InvalidResponse("websocket.send has either text or bytes")
        if data is None:
            data = text if type(text) is str else as_text(text, "a text")
        elif type(data) is not bytes:
            data = as_bytes(data, "bytes")
        room: bool = self._session.send(data)
        return room

    def _close(self, message: Message) -> None:
        self._check("websocket.close")
        if self._phase == OPEN:
            code = look_up(message, "code", NORMAL)
            reason = look_up(message, "reason", None)
            if not isinstance(code, int):
                raise InvalidResponse(f"a code must be an int, not {type(code).__name__}")
            self._session.close(code, "" if reason is None else as_text(reason, "a reason"))
            self._phase = CLOSING
        else:
            refuse(self._exchange, FORBIDDEN)
            self._over()

    def _send_body(self, message: Message) -> bool:
        """Send a part of a refusal; whether there is room for more, or nothing more to come."""
        self._check("websocket.http.response.body")
        last = not look_up(message, "more_body", False)
        room = self._exchange.send(as_bytes(look_up(message, "body", b""), "a body"), last)
        if last:
            self._over()
        return room or last

    def _check(self, kind: str) -> None:
        """Refuse a message that has no meaning now."""
        if self._ended_below():
            raise self._departure()
        if self._phase not in MOMENTS[kind]:
            raise FlowError(f"{kind} has no meaning now: {PHASES[self._phase]}")

    def check_peer(self) -> None:
        """See Talk."""
        if self._ended_below():
            self._departed = True
            raise self._departure()

    def _departure(self) -> Disconnected:
        session = self._session
        return SessionClosed(session.code or sessions.ABNORMAL, session.reason)

    def _ended_below(self) -> bool:
        """Whether the session has ended without our doing."""
        if self._phase == OPEN:
            return self._session.state == _CLOSED
        if self._phase == OFFERED and self._session.state == _CLOSED:
            return True
        offered = self._phase == OFFERED or self._phase == DENYING  # noqa: PLR1714 - as above
        return offered and self._exchange.state >= _FINISHED


def new_dialogue(app: Application, scope: Scope, session: Session, calls: Calls) -> Dialogue:
    """The call of `app` for `session`."""
    dialogue = Dialogue.__new__(Dialogue)
    dialogue.prepare(app, scope, session, calls)
    return dialogue
