"""A WSGI application as the worker sees it: an Interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.errors import LoadError
from granian_d.interface.wsgi.call import WsgiCall
from granian_d.interface.wsgi.crossing import Crossing
from granian_d.interface.wsgi.environ import Surroundings
from granian_d.interface.wsgi.intake import Intake
from granian_d.interface.wsgi.pool import Pool

if TYPE_CHECKING:
    import io

    from granian_d.http.exchange import Exchange
    from granian_d.interface.contract import Application, Context


class WsgiApplication:
    """One WSGI application with its threads.

    Attributes:
        notes: see `interface.contract.Interface`; WSGI has nothing to say.
    """

    __slots__ = ("_app", "_loop", "_pool", "_surroundings", "notes")

    def __init__(self, app: Application, context: Context) -> None:
        if not callable(app):
            raise LoadError(
                f"a WSGI application is called with (environ, start_response), and "
                f"{type(app).__name__} objects cannot be called"
            )
        self._app = app
        self._loop = context.loop
        self._surroundings = Surroundings(
            context.root_path,
            multithread=context.blocking_threads > 1,
            multiprocess=context.multiprocess,
        )
        self._pool = Pool(
            context.blocking_threads, context.blocking_threads_idle_timeout_s, context.loop
        )
        self.notes: list[str] = []

    async def startup(self) -> None:
        """See `interface.contract.Interface`: threads are made when they are needed."""

    def serve(self, exchange: Exchange) -> None:
        """See `interface.contract.Interface`."""
        Intake(exchange, Crossing(exchange, self._loop), self._begin).collect()

    def _begin(self, exchange: Exchange, crossing: Crossing, body: io.BufferedIOBase) -> None:
        """The beginning of the body is here: give the request to a thread."""
        head = exchange.head
        environ = self._surroundings.environ(head, exchange.peer, body)
        try:
            self._pool.submit(WsgiCall(self._app, environ, body, head.method, crossing).run)
        except RuntimeError as error:  # the system gives no thread, and there is none
            exchange.observer.crashed(exchange, error)
            exchange.fail()

    async def settle(self) -> None:
        """See `interface.contract.Interface`."""
        await self._pool.settle()

    async def shutdown(self) -> None:
        """See `interface.contract.Interface`. A thread cannot be cancelled: it is waited for."""
        await self._pool.close()

    def close(self) -> None:
        """See `interface.contract.Interface`: nothing is left to do for WSGI."""


def make(app: Application, context: Context) -> WsgiApplication:
    """The interface `wsgi`."""
    return WsgiApplication(app, context)
