"""A WSGI application as the worker sees it: an Interface."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from granian_d.errors import LoadError
from granian_d.interface.stacks import stack_of_thread
from granian_d.interface.wsgi.environ import Surroundings
from granian_d.interface.wsgi.intake import NO_BODY, Intake
from granian_d.interface.wsgi.pool import Pool
from granian_d.interface.wsgi.thread_call import ThreadCall

if TYPE_CHECKING:
    import io

    from granian_d.http.exchange import Exchange
    from granian_d.interface.contract import Application, Context

ACCOUNT: Final = "granian_d.interface.wsgi.account"


class WsgiApplication:
    """One WSGI application with its threads, which call it at the same time.

    Attributes:
        app: the application.
        notes: see `interface.contract.Interface`; WSGI has nothing to say.
    """

    __slots__ = ("_loop", "_pool", "_surroundings", "app", "notes")

    def __init__(self, app: Application, context: Context) -> None:
        if not callable(app):
            raise LoadError(
                f"a WSGI application is called with (environ, start_response), and "
                f"{type(app).__name__} objects cannot be called"
            )
        self.app = app
        self._loop = context.loop
        self._surroundings = Surroundings(
            context.root_path,
            multithread=context.blocking_threads > 1,
            multiprocess=context.multiprocess,
        )
        account = None
        if context.pool_row is not None:
            account = import_module(ACCOUNT).Account(context.pool_row)
        self._pool = Pool(
            context.blocking_threads,
            context.blocking_threads_idle_timeout_s,
            context.loop,
            account,
        )
        self.notes: list[str] = []

    async def startup(self) -> None:
        """See `interface.contract.Interface`: threads are made when they are needed."""

    def serve(self, exchange: Exchange) -> None:
        """See `interface.contract.Interface`."""
        if exchange.head.content_length == 0:
            self.begin(exchange, NO_BODY, True)
        else:
            Intake(exchange, self, self._loop).collect()

    def begin(self, exchange: Exchange, body: io.BufferedIOBase, whole: bool) -> None:  # noqa: ARG002 - as Visit calls it
        """As much of the body is here as is waited for: have the application called.

        Args:
            exchange: one request.
            body: its wsgi.input.
            whole: reading it never waits.
        """
        self._submit(self._thread_call(exchange, body))

    def _thread_call(self, exchange: Exchange, body: io.BufferedIOBase) -> ThreadCall:
        environ = self._surroundings.environ(exchange.head, exchange.peer, body)
        return ThreadCall(self.app, environ, body, exchange, self._loop)

    def _submit(self, call: ThreadCall) -> None:
        """Give a call to a thread."""
        try:
            self._pool.submit(call.run)
        except RuntimeError as error:  # the system gives no thread, and there is none
            call.exchange.observer.crashed(call.exchange, error)
            call.exchange.fail()

    def stack(self, exchange: Exchange) -> str:
        """See `interface.contract.Interface`: where its thread is."""
        for job, ident in self._pool.running():
            if job.__self__.exchange is exchange:  # ThreadCall.run
                return stack_of_thread(ident)
        return ""

    def cancel(self, exchange: Exchange) -> bool:  # noqa: ARG002 - as the contract has it
        """See `interface.contract.Interface`: a thread cannot be cancelled."""
        return False

    def leave(self) -> None:
        """See `interface.contract.Interface`: WSGI has no word for it."""

    async def settle(self) -> None:
        """See `interface.contract.Interface`."""
        await self._pool.settle()

    async def shutdown(self) -> None:
        """See `interface.contract.Interface`. A thread cannot be cancelled: it is waited for."""
        await self._pool.close()

    def close(self) -> None:
        """See `interface.contract.Interface`: nothing is left to do for WSGI."""
