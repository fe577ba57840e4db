"""A WSGI application that is called by nobody else while it is called: `blocking_threads = 1`.

Then a thread does not make anything run at the same time; it only keeps a slow application from
holding the loop up. Handing a call over costs more than most quick applications take, so those are
called on the loop's own thread, as soon as they have proved to be quick, and as long as they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from granian_d.interface.wsgi.application import WsgiApplication
from granian_d.interface.wsgi.loop_call import LoopCall
from granian_d.interface.wsgi.thread_call import ThreadCall
from granian_d.interface.wsgi.visit import Visit

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange
    from granian_d.interface.contract import Application, Context
    from granian_d.interface.wsgi.environ import Environ

# A call that takes longer is slow. Other connections do not notice a pause of that length, and a
# quick call passes even when its thread had to wait for the interpreter once (5 ms, see
# sys.setswitchinterval). Of what takes longer, the hand-over to a thread is less than a thousandth.
SLOW_NS: Final = 10_000_000

# So many quick calls in a row are the proof. Who is slow once in a hundred calls stays in the
# thread for the most part; who is slow once in ten thousand is on the loop nearly always.
PROOF_CALLS: Final = 100
_NEVER: Final = -1  # of the row: there will be no proof

# After a call of that length the loop turns before the next one, so that a batch of requests does
# not hold up what the first of them were answered. A turn costs about a hundredth of it.
BREATH_NS: Final = 200_000

# The same, typed in the compiled form.
_SLOW_NS: Final = SLOW_NS
_PROOF_CALLS: Final = PROOF_CALLS
_BREATH_NS: Final = BREATH_NS


class LoneApplication(WsgiApplication):
    """One WSGI application that answers one request after the other.

    A call is over when close() has returned. Until then no other one begins, neither here nor in
    the thread, even while the response waits for its peer: connections to databases and the like
    are often kept by thread, and ended with the request.

    Attributes:
        visit: brackets the application's code on the loop's thread.
    """

    __slots__ = (
        "_busy",
        "_context",
        "_quick_calls",
        "_settled",
        "_turning",
        "_waiting",
        "visit",
    )

    def __init__(self, app: Application, context: Context) -> None:
        super().__init__(app, context)
        self._context = context
        self.visit = Visit(context.loop, context.clock_ns, context.beat, turn=context.turn)
        self._quick_calls = 0  # in a row; written where a call is, and there is one at a time
        # A call is under way on the loop, or `_next` will be called: until then all others wait.
        self._busy = False
        self._turning = False  # in `_next`
        self._waiting: deque[tuple[Exchange, io.BufferedIOBase, bool]] = deque()
        self._settled: asyncio.Future[None] | None = None

    async def startup(self) -> None:
        """See `interface.contract.Interface`.

        From now on get_event_loop, too, finds none outside of the loop's own callbacks.
        """
        asyncio.set_event_loop(None)

    def begin(self, exchange: Exchange, body: io.BufferedIOBase, whole: bool) -> None:
        """See WsgiApplication: in turn, on the loop or in the thread."""
        if self._busy:
            self._waiting.append((exchange, body, whole))
        elif not whole or self._quick_calls < _PROOF_CALLS:
            self._submit(self._thread_call(exchange, body))
        elif self._pool.pending:
            # Whoever is given to the thread now keeps it busy for the next one: under load it
            # would never be left.
            self._busy = True
            self._waiting.appendleft((exchange, body, whole))
            self._pool.when_quiet(self._next)
        else:
            self._busy = True
            environ = self._surroundings.environ(exchange.head, exchange.peer, body)
            call = LoopCall.__new__(LoopCall)
            call.prepare(self, environ, body, exchange)
            call.run()

    def _thread_call(self, exchange: Exchange, body: io.BufferedIOBase) -> ThreadCall:
        environ = self._surroundings.environ(exchange.head, exchange.peer, body)
        return _TimedCall(self.app, environ, body, exchange, self, self._context)

    # --- told by the calls ---------------------------------------------------------------------

    def took(self, slow: bool, wrote: bool) -> None:
        """A call is over, wherever it ran.

        Args:
            slow: it held the loop up for too long, or would have.
            wrote: it used `write`, which cannot wait on the loop: what the peer does not take
                would pile up in memory. An application of that kind stays in the thread.
        """
        if wrote or self._quick_calls == _NEVER:
            self._quick_calls = _NEVER
        elif slow:
            self._quick_calls = 0
        elif self._quick_calls < _PROOF_CALLS:
            self._quick_calls += 1

    def ended(self, call: LoopCall) -> None:
        """The call on the loop is over: who is next?"""
        spent_ns = self.visit.spent_ns
        self.visit.spent_ns = 0
        self.took(spent_ns > _SLOW_NS or call.waited, call.wrote)
        if spent_ns > _BREATH_NS:
            self._loop.call_soon(self._next)
        elif not self._waiting or self._turning:
            self._rest()
        elif call.turned:
            self._next()
        else:  # somewhere below is a request that has just come; nobody knows how deep
            self._loop.call_soon(self._next)

    def soon(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the loop has turned."""
        self._loop.call_soon(callback)

    def _next(self) -> None:
        """Begin the calls that wait, as far as they end at once, or are for the thread."""
        self._busy = False
        self._turning = True
        while self._waiting and not self._busy:
            exchange, body, whole = self._waiting.popleft()
            self.begin(exchange, body, whole)
        self._turning = False
        if not self._busy:
            self._rest()

    def _rest(self) -> None:
        """No call is under way on the loop."""
        self._busy = False
        if self._settled is not None and not self._waiting:
            settled, self._settled = self._settled, None
            settled.set_result(None)

    # --- the end -------------------------------------------------------------------------------

    async def settle(self) -> None:
        """See `interface.contract.Interface`."""
        await WsgiApplication.settle(self)
        while self._busy:
            if self._settled is None:
                self._settled = self._loop.create_future()
            await asyncio.shield(self._settled)  # there may be others who wait
            await WsgiApplication.settle(self)

    async def shutdown(self) -> None:
        """See `interface.contract.Interface`."""
        await self.settle()
        await WsgiApplication.shutdown(self)
        self.visit.close()
        asyncio.set_event_loop(self._loop)


class _TimedCall(ThreadCall):
    """A call in the thread, whose length is judged."""

    __slots__ = ("_clock_ns", "_owner")

    def __init__(
        self,
        app: Application,
        environ: Environ,
        body: io.BufferedIOBase,
        exchange: Exchange,
        owner: LoneApplication,
        context: Context,
    ) -> None:
        super().__init__(app, environ, body, exchange, context.loop)
        self._owner = owner
        self._clock_ns = context.clock_ns

    def run(self) -> None:
        """See ThreadCall."""
        began_ns = self._clock_ns()
        ThreadCall.run(self)
        self._owner.took(self._clock_ns() - began_ns > _SLOW_NS, self.wrote)
