"""An RSGI application as the worker sees it: an Interface."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, FlowError, LoadError, StartupError
from granian_d.http import states
from granian_d.interface.calls import Call, Calls
from granian_d.interface.departure import is_departure
from granian_d.interface.rsgi.protocol import HTTPProtocol
from granian_d.interface.rsgi.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.contract import Application, Context


# Typed in the compiled form.
_AWAITED: Final = states.AWAITED
_FINISHED: Final = states.FINISHED


class RsgiCall(Call):
    """One call of the application for one Exchange."""

    __slots__ = ("_app", "_calls", "_exchange", "_protocol")

    def prepare(self, app: Application, exchange: Exchange, calls: Calls) -> None:
        """Be the call of `app`: a constructor that C can call (see `_call`)."""
        self.task = None
        self.given_up = False
        self._app = app
        self._exchange = exchange
        self._calls = calls
        self._protocol = HTTPProtocol(exchange, calls.loop)

    def begin(self) -> Awaitable[Any]:
        """See Call."""
        exchange = self._exchange
        awaitable: Awaitable[Any] = self._app(Scope(exchange.head, exchange.peer), self._protocol)
        return awaitable

    def returned(self) -> None:
        """See Call: answer if the application has not."""
        if not self._protocol.responded:
            self._silent()

    def raised(self, error: BaseException) -> None:
        """See Call: end the exchange as what came out of the application demands."""
        exchange = self._exchange
        given_up = self._calls.closing or self.given_up
        ours = given_up and isinstance(error, asyncio.CancelledError)
        if not ours and not is_departure(error):
            exchange.observer.crashed(exchange, error)
            if not self._protocol.is_sending_file:
                self._fail()
        elif exchange.state != _FINISHED:
            exchange.abort()

    def answers(self, exchange: Exchange) -> bool:
        """See Call."""
        return self._exchange is exchange

    def _silent(self) -> None:
        exchange = self._exchange
        if exchange.gone or exchange.state >= _FINISHED:
            exchange.abort()
            return
        error = FlowError("the application returned without a response")
        exchange.observer.crashed(exchange, error)
        self._fail()

    def _fail(self) -> None:
        """End the exchange with a 500, or cut it; in RSGI it has no content but an excuse."""
        exchange = self._exchange
        if exchange.state != _AWAITED:
            if exchange.state != _FINISHED:
                exchange.fail()
            return
        fields, body = exchange.observer.excuse(exchange) or ((), b"")
        try:
            exchange.start(500, fields)
            exchange.send(body, True)
        except Disconnected:
            exchange.abort()


def _call(app: Application, exchange: Exchange, calls: Calls) -> RsgiCall:
    call = RsgiCall.__new__(RsgiCall)
    call.prepare(app, exchange, calls)
    return call


DIALOGUE: Final = "granian_d.interface.rsgi.dialogue"  # who has no WebSockets has no memory for it


class RsgiApplication:
    """One RSGI application.

    Making it calls `__rsgi_init__`, and `close` calls `__rsgi_del__`: both want the loop while it
    does not run, so that they can run it themselves until something is done.

    Attributes:
        notes: see `interface.contract.Interface`.
    """

    __slots__ = ("_app", "_calls", "_loop", "_target", "notes")

    def __init__(self, target: Application, context: Context) -> None:
        app = getattr(target, "__rsgi__", target)
        if not callable(app):
            raise LoadError(
                f"an RSGI application is called with (scope, protocol), and "
                f"{type(app).__name__} objects cannot be called"
            )
        self._target = target
        self._app = app
        self._loop = context.loop
        self._calls = Calls(context.loop)
        self.notes: list[str] = []
        init = getattr(target, "__rsgi_init__", None)
        if init is not None:
            try:
                init(context.loop)
            except (Exception, SystemExit) as error:
                raise StartupError(f"the application's __rsgi_init__ failed: {error!r}") from error

    async def startup(self) -> None:
        """See `interface.contract.Interface`: `__rsgi_init__` has been called already."""
        self._calls.prepare()

    def serve(self, exchange: Exchange) -> None:
        """See `interface.contract.Interface`."""
        self._calls.start(_call(self._app, exchange, self._calls))

    def converse(self, session: Session) -> None:
        """See `interface.contract.Interface`."""
        self._calls.start(import_module(DIALOGUE).new_dialogue(self._app, session, self._calls))

    def stack(self, exchange: Exchange) -> str:
        """See `interface.contract.Interface`."""
        return self._calls.stack(exchange)

    def cancel(self, exchange: Exchange) -> bool:
        """See `interface.contract.Interface`."""
        return self._calls.give_up(exchange)

    def leave(self) -> None:
        """See `interface.contract.Interface`: RSGI has no word for it."""

    async def settle(self) -> None:
        """See `interface.contract.Interface`."""
        await self._calls.settle()

    async def shutdown(self) -> None:
        """See `interface.contract.Interface`: `__rsgi_del__` is called by `close`."""
        await self._calls.cancel()

    def close(self) -> None:
        """See `interface.contract.Interface`."""
        finish = getattr(self._target, "__rsgi_del__", None)
        if finish is None:
            return
        try:
            finish(self._loop)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - noted; nothing is left to stop
            self.notes.append(f"the application's __rsgi_del__ failed: {error!r}")


def make(app: Application, context: Context) -> RsgiApplication:
    """The interface `rsgi`.

    Raises:
        LoadError: `app` cannot be called.
        StartupError: its `__rsgi_init__` failed.
    """
    return RsgiApplication(app, context)
