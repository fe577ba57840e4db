"""An ASGI application as the worker sees it: an Interface."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import LoadError
from granian_d.interface.asgi.conversation import new_conversation
from granian_d.interface.asgi.lifespan import Lifespan
from granian_d.interface.asgi.scope import http_scope, session_scope
from granian_d.interface.calls import Calls

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.contract import Application, Context


DIALOGUE: Final = "granian_d.interface.asgi.dialogue"  # who has no WebSockets has no memory for it


class AsgiApplication:
    """One ASGI application with its state.

    Attributes:
        notes: what happened in the lifespan that is no error of the daemon; for the log.
    """

    __slots__ = (
        "_app",
        "_at_leave",
        "_calls",
        "_debug",
        "_lifespan",
        "_loop",
        "_root_path",
        "_shutdown",
        "_state",
        "notes",
    )

    def __init__(self, app: Application, context: Context, with_lifespan: bool) -> None:
        if not callable(app):
            raise LoadError(
                f"an ASGI application is called with (scope, receive, send), and "
                f"{type(app).__name__} objects cannot be called"
            )
        self._app = app
        self._root_path = context.root_path
        self._state: dict[str, Any] = {}
        self._calls = Calls(context.loop)
        self._loop = context.loop
        self._debug = context.debug
        self._at_leave = context.lifespan_at_leave
        self._shutdown: asyncio.Task[None] | None = None  # of the lifespan, once begun early
        self.notes: list[str] = []
        self._lifespan = (
            Lifespan(app, context.loop, self._state, self.notes) if with_lifespan else None
        )

    async def startup(self) -> None:
        """See `interface.contract.Interface`."""
        if self._lifespan is not None:
            await self._lifespan.startup()
        self._calls.prepare()

    def serve(self, exchange: Exchange) -> None:
        """See `interface.contract.Interface`."""
        scope = http_scope(exchange.head, exchange.peer, self._root_path, self._state)
        if self._debug:
            scope["extensions"]["http.response.debug"] = {}
        self._calls.start(new_conversation(self._app, scope, exchange, self._calls))

    def converse(self, session: Session) -> None:
        """See `interface.contract.Interface`."""
        exchange = session.exchange
        scope = session_scope(
            exchange.head, exchange.peer, session.subprotocols, self._root_path, self._state
        )
        dialogue = import_module(DIALOGUE).new_dialogue(self._app, scope, session, self._calls)
        self._calls.start(dialogue)

    def stack(self, exchange: Exchange) -> str:
        """See `interface.contract.Interface`."""
        return self._calls.stack(exchange)

    def cancel(self, exchange: Exchange) -> bool:
        """See `interface.contract.Interface`."""
        return self._calls.give_up(exchange)

    def leave(self) -> None:
        """See `interface.contract.Interface`."""
        if self._at_leave and self._lifespan is not None:
            self._shutdown = asyncio.Task(self._lifespan.shutdown(), loop=self._loop)

    async def settle(self) -> None:
        """See `interface.contract.Interface`."""
        await self._calls.settle()

    async def shutdown(self) -> None:
        """See `interface.contract.Interface`."""
        await self._calls.cancel()
        if self._shutdown is not None:
            await self._shutdown
        elif self._lifespan is not None:
            await self._lifespan.shutdown()

    def close(self) -> None:
        """See `interface.contract.Interface`: nothing is left to do for ASGI."""


def make(app: Application, context: Context) -> AsgiApplication:
    """The interface `asgi`."""
    return AsgiApplication(app, context, with_lifespan=True)


def make_without_lifespan(app: Application, context: Context) -> AsgiApplication:
    """The interface `asginl`: the application is never told that it starts or stops."""
    return AsgiApplication(app, context, with_lifespan=False)
