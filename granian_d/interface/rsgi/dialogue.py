"""One call of an RSGI application for one Session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from granian_d.interface.calls import Call
from granian_d.interface.ending import end_raised, end_returned
from granian_d.interface.rsgi.scope import Scope
from granian_d.interface.rsgi.websocket import WebsocketProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.calls import Calls
    from granian_d.interface.contract import Application


class Dialogue(Call):
    """One call of the application for one Session."""

    __slots__ = ("_app", "_calls", "_protocol", "_session")

    def prepare(self, app: Application, session: Session, calls: Calls) -> None:
        """Be the call of `app`: a constructor that C can call (see `new_dialogue`)."""
        self.task = None
        self.given_up = False
        self._app = app
        self._session = session
        self._calls = calls
        self._protocol = WebsocketProtocol(session, calls.loop)

    def begin(self) -> Awaitable[Any]:
        """See Call."""
        exchange = self._session.exchange
        scope = Scope(exchange.head, exchange.peer, "ws")
        awaitable: Awaitable[Any] = self._app(scope, self._protocol)
        return awaitable

    def returned(self) -> None:
        """See Call: refuse or close what the application has not."""
        end_returned(self._session)
        self._protocol.end()

    def raised(self, error: BaseException) -> None:
        """See Call: end the session as what came out of the application demands."""
        given_up = self._calls.closing or self.given_up
        ours = given_up and isinstance(error, asyncio.CancelledError)
        end_raised(self._session, error, ours, self._protocol.departed)
        self._protocol.end()

    def answers(self, exchange: Exchange) -> bool:
        """See Call."""
        return self._session.exchange is exchange


def new_dialogue(app: Application, session: Session, calls: Calls) -> Dialogue:
    """The call of `app` for `session`."""
    dialogue = Dialogue.__new__(Dialogue)
    dialogue.prepare(app, session, calls)
    return dialogue
