"""What a worker and an interface are to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from granian_d.http.ticks import now_ns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.http.turn import Turn

Application = Any  # what the three specifications call a callable; each interface checks its own


class Context(NamedTuple):
    """What an interface may know about the worker it runs in.

    Attributes:
        loop: the worker's event loop (not running while the interface is made).
        root_path: prefix under which the application is mounted, "" or "/prefix".
        multiprocess: more than one worker serves the application.
        blocking_threads: most threads that may run a WSGI application at once.
        blocking_threads_idle_timeout_s: an idle one of them ends after that time.
        beat: tells the master that the worker lives, from any thread, for an interface that lets
            an application hold the loop up; None where nobody listens.
        clock_ns: tells a monotonic time in nanoseconds.
        debug: what an application says for debugging is wanted.
        lifespan_at_leave: its shutdown is told to the application when the worker is to leave, and
            not after the last exchange.
        pool_row: five words in which a pool of threads tells how it fares (interface.wsgi.account);
            None where nobody looks.
        turn: between its begin and end nothing runs but engines and this interface; None where
            there are no such times.
    """

    loop: asyncio.AbstractEventLoop
    root_path: str
    multiprocess: bool
    blocking_threads: int
    blocking_threads_idle_timeout_s: float
    beat: Callable[[], None] | None = None
    debug: bool = False
    lifespan_at_leave: bool = False
    clock_ns: Callable[[], int] = now_ns
    turn: Turn | None = None
    pool_row: memoryview | None = None


class Interface(Protocol):
    """One application, spoken to in its language. Made once a worker.

    Its life: made, `startup`, `serve` any number of times, `leave`, `settle`, `shutdown`, `close`.
    The loop runs from `startup` to `shutdown`; it does not run while the interface is made, nor in
    `close`.

    Attributes:
        notes: oddities of the application that stop nothing, one line each, for the log.
    """

    notes: list[str]

    async def startup(self) -> None:
        """Run the application's own start-up.

        Raises:
            StartupError: the application refused to start.
        """

    def serve(self, exchange: Exchange) -> None:
        """Have the application answer one exchange.

        Returns at once. A fault of the application is told to `exchange.observer.crashed`, then
        ends the exchange with `exchange.fail()`.
        """

    def converse(self, session: Session) -> None:
        """Have the application accept one WebSocket conversation, or refuse it.

        Returns at once; faults of the application are told as in `serve`. Not called for wsgi:
        engines are told not to offer one (`plan.Limits.websocket`).
        """

    def stack(self, exchange: Exchange) -> str:
        """Where the application is that answers an exchange, as a traceback, innermost last.

        "" when none of its code is at work on it.
        """

    def cancel(self, exchange: Exchange) -> bool:
        """Cancel the call that answers an exchange; False where that cannot be.

        That it was is not told as a fault of the application.
        """

    def leave(self) -> None:
        """The worker is to leave: `serve` goes on until its connections are over. Called once.

        An application that wants to know it now is told, so that it can end what it would never
        end by itself.
        """

    async def settle(self) -> None:
        """Wait until no call of the application is under way.

        An answered one may still be at work (a background task, an iterable that is being
        closed). Takes as long as the application does: the caller bounds it.
        """

    async def shutdown(self) -> None:
        """Run the application's own shut-down, after the last exchange. Raises nothing.

        Calls still under way are cancelled where the language knows how: `settle` first.
        """

    def close(self) -> None:
        """The last word: the loop has stopped for good, but is not closed yet. Raises nothing."""
