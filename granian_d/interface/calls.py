"""The running calls of an asynchronous application, and the tasks that carry them.

Such an application must run in a task: `current_task`, time-outs and cancel scopes want one. A new
task for each call costs more than most calls do, and before Python 3.12 it begins a turn of the
loop late. So a Carrier is the coroutine of a task that waits at a Gate between its calls. The first
step of a call is taken for the task, which is entered as the current one and stays at its gate. A
call that never waits ends with that step, within the turn in which its request came, and leaves
its carrier for the next one. For one that waits the gate is opened, and the task goes on as if it
had taken that step itself: the call has its carrier for itself, and they end together.

No call can tell that another was carried before it. Each runs in a context of its own, copied from
the worker's, under a name of its own; and a task is used again only if nobody kept hold of it,
watched it, changed it or asked it to cancel. See the record on carriers in docs/adr.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from granian_d.interface.carrier_task import CarrierTask
from granian_d.interface.gate import Gate
from granian_d.interface.stacks import stack_of_task
from granian_d.interface.stepping import copied, count_holders, run_in, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from contextvars import Context

    from granian_d.http.exchange import Exchange

# For those who make tasks of their own: asyncio's documentation, "Extending".
_enter_task: Callable[..., None] = asyncio._enter_task  # noqa: SLF001 - documented all the same
_leave_task: Callable[..., None] = asyncio._leave_task  # noqa: SLF001 - documented all the same

_RETURNED: Final = object()  # in the place of what a call waits for

_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Call:
    """One call of an application. Its methods never raise, but for `begin`.

    Attributes:
        task: carries it while it waits; None before and after.
        given_up: it has been cancelled by us.
    """

    __slots__ = ("given_up", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.given_up = False

    def begin(self) -> Awaitable[Any]:
        """Call the application; raises whatever it raises."""
        raise NotImplementedError

    def returned(self) -> None:
        """The application has returned."""
        raise NotImplementedError

    def raised(self, error: BaseException) -> None:
        """The application has raised."""
        raise NotImplementedError

    def answers(self, exchange: Exchange) -> bool:
        """Whether it is `exchange` that the application is called for."""
        raise NotImplementedError


class Calls:
    """The calls of one application.

    Attributes:
        loop: they run on it.
        closing: those under way are being cancelled; what they raise is our doing.
        holders: how many references there are to the task of a call that nobody else knows.
    """

    __slots__ = ("_context", "_spare", "_waiting", "closing", "holders", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closing = False
        self.holders = 0  # not yet known
        self._context: Context | None = None  # the worker's
        self._spare: Carrier | None = None
        self._waiting: set[Call] = set()  # held, so that none of them is collected

    def start(self, call: Call) -> None:
        """Run `call`; it has often ended when this returns."""
        carrier = self._spare
        if carrier is None:
            carrier = Carrier(self)
        else:
            self._spare = None
        carrier.carry(call)

    def prepare(self) -> None:
        """Have a carrier at its gate for the next call."""
        if self._spare is None and not self.closing:
            self._spare = Carrier(self)

    def context(self) -> Context:
        """A context for one call. Not a copy of the current one: that may be another call's."""
        if self._context is None:
            self._context = copy_context()
        return copied(self._context)

    def spare(self, carrier: Carrier) -> bool:
        """A carrier has become idle; False if it is not wanted any more."""
        if self._spare is not None or self.closing:
            return False
        self._spare = carrier
        return True

    def learn_holders(self, count: int) -> None:
        """So many there are as a carrier's first call begins; somebody may be among them."""
        if self.holders == 0 or count < self.holders:
            self.holders = count

    def forget(self, carrier: Carrier) -> bool:
        """Do not use a carrier again; whether it was idle."""
        if self._spare is not carrier:
            return False
        self._spare = None
        return True

    def waits(self, call: Call) -> None:
        """`call` has begun to wait for something."""
        self._waiting.add(call)
        if self.closing and call.task is not None:
            call.task.cancel()  # as those that were under way before

    def ended(self, call: Call) -> None:
        """A call that has waited is over."""
        call.task = None
        self._waiting.discard(call)

    def stack(self, exchange: Exchange) -> str:
        """See `contract.Interface`."""
        call = self._find(exchange)
        return "" if call is None or call.task is None else stack_of_task(call.task)

    def give_up(self, exchange: Exchange) -> bool:
        """See `contract.Interface.cancel`."""
        call = self._find(exchange)
        if call is None or call.task is None:
            return False
        call.given_up = True
        return call.task.cancel()

    def _find(self, exchange: Exchange) -> Call | None:
        """The call that answers an exchange, while it waits."""
        for call in self._waiting:
            if call.answers(exchange):
                return call
        return None

    async def settle(self) -> None:
        """Wait until no call is under way; takes as long as the application does."""
        while self._waiting:
            await asyncio.wait(self._tasks())

    async def cancel(self) -> None:
        """Cancel what is under way, and see it end."""
        self.closing = True
        for task in self._tasks():
            task.cancel()
        spare, self._spare = self._spare, None
        if spare is not None:
            await spare.dismissed()
        await self.settle()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self._waiting if call.task is not None]


class Carrier:
    """The coroutine of a task, written out: the task steps it, and it steps its call.

    Attributes:
        context: of the call, from its first step on.
        count: of the calls so far; 0 when the task has been given another name.
    """

    __slots__ = (
        "__weakref__",
        "_awaited",
        "_call",
        "_calls",
        "_coroutine",
        "_dismissed",
        "_gate",
        "_handed_over",
        "_loop",
        "_task",
        "_touched",
        "context",
        "count",
    )

    def __init__(self, calls: Calls) -> None:
        self.count = 0
        self.context: Context | None = None
        self._calls = calls
        self._loop = calls.loop
        self._gate = Gate(calls.loop)
        self._call: Call | None = None
        self._coroutine: Any = None  # of the call, from its first step on
        self._awaited: Any = None  # by the first step
        self._handed_over = False  # that, to the task, which has still to ask for it
        self._dismissed = False
        self._touched = False
        self._task: CarrierTask | None = None
        self._task = CarrierTask(self, loop=calls.loop, context=calls.context(), **_EAGER)
        self._task.matters(False)

    def carry(self, call: Call) -> None:
        """Begin `call`: now, if the task has come to its gate."""
        self._call = call
        if self._gate.wakeup is None:
            self._put_off(call)
            return
        if self.count == 0:
            self._calls.learn_holders(count_holders(self._task))
        try:
            _enter_task(self._loop, self._task)
        except RuntimeError:
            pass  # another is being executed
        else:
            self._begin(call)
            return
        self._begin_within(call)

    def _put_off(self, call: Call) -> None:
        """The task itself will take the first step, in a later turn."""
        self._give_task(call)
        self._calls.waits(call)

    def _begin_within(self, call: Call) -> None:
        """Interrupt the task that runs: an answer of its has made the engine begin this call."""
        if sys.exception() is not None:  # the call would see what that task handles
            self._put_off(call)
            self._loop.call_soon(self._gate.open)
            return
        current = asyncio.current_task(self._loop)
        assert current is not None
        _leave_task(self._loop, current)
        _enter_task(self._loop, self._task)
        try:
            self._begin(call)
        finally:
            _enter_task(self._loop, current)

    def _begin(self, call: Call) -> None:
        """Take the first step for the task, which is current, and not any more afterwards."""
        calls, gate = self._calls, self._gate
        self.count += 1
        self.context = calls.context()
        failure = None
        gate.passing = True
        try:
            awaited = run_in(self.context, _take_first_step, self, call)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it must not end the loop
            awaited = _RETURNED
            failure = error
        gate.passing = False
        _leave_task(self._loop, self._task)
        if awaited is not _RETURNED:
            self._hand_over(call, awaited)
            return
        self._end_call(failure)
        failure = None  # an error that holds this frame must not be held by it
        if self._touched or count_holders(self._task) != calls.holders or not calls.spare(self):
            self._dismissed = True
            self._gate.open()
            calls.prepare()

    def enter(self, call: Call) -> Any:
        """The first step: what the call waits for."""
        try:
            coroutine: Any = call.begin()
        except StopIteration as error:  # it would pass for the end of a coroutine
            raise RuntimeError("the application raised StopIteration") from error
        if type(coroutine) is not CoroutineType:
            coroutine = _await(coroutine)
        self._coroutine = coroutine
        return step(coroutine, _RETURNED)

    def _hand_over(self, call: Call, awaited: Any) -> None:
        """The call waits: have its task wait for the same."""
        self._give_task(call)
        self._awaited = awaited
        self._handed_over = True
        self._gate.open()
        self._calls.waits(call)
        self._calls.prepare()

    def _give_task(self, call: Call) -> None:
        task = self._task
        assert task is not None
        task.matters(True)
        call.task = task

    def touch(self) -> None:
        """Somebody has changed the task: no other call may have it."""
        self._touched = True
        if self._calls.forget(self):
            self._dismiss()

    async def dismissed(self) -> None:
        """End the idle task: there will be no other call."""
        task = self._task
        self._dismiss()
        if task is not None:
            await asyncio.wait([task])

    def _dismiss(self) -> None:
        self._dismissed = True
        self._loop.call_soon(self._gate.open)

    def _begin_late(self, call: Call) -> Any:
        """The first step of a call that was put off."""
        self.count += 1
        self.context = self._calls.context()
        try:
            return self._go_on(partial(_take_first_step, self), call)
        finally:
            self._calls.prepare()

    def _go_on(self, step: Callable[[Any], Any], value: Any) -> Any:
        """Another step of a call that has waited."""
        context = self.context
        assert context is not None
        failure = None
        try:
            awaited = context.run(step, value)
            if awaited is not _RETURNED:
                return awaited
        except StopIteration:
            pass  # it has ended
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it must not end the loop
            failure = error
        self._end_call(failure)
        value = failure = None  # as in _begin
        return self._leave()

    def _end_call(self, failure: BaseException | None) -> None:
        """The call is over. Not to be told where an error is handled: the next one may begin."""
        call = self._call
        assert call is not None
        self._call = self.context = self._coroutine = None
        if call.task is not None:
            self._calls.ended(call)
        if failure is None:
            call.returned()
        else:
            call.raised(failure)

    def _leave(self) -> Any:
        """End the task."""
        self._call = self.context = self._coroutine = self._awaited = self._task = None
        raise StopIteration

    # --- what a task asks of a coroutine -------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, None]:
        return self  # all that is used of a generator is here

    def __next__(self) -> Any:
        if self._handed_over:
            return self._take_over()
        if self._coroutine is not None:
            return self._go_on(self._coroutine.send, None)
        if self._call is not None:
            return self._begin_late(self._call)
        if self._dismissed:
            return self._leave()
        self._gate._asyncio_future_blocking = True  # noqa: SLF001 - how a coroutine yields a future
        return self._gate

    def _take_over(self) -> Any:
        """What the first step has yielded, for the task."""
        awaited, self._awaited, self._handed_over = self._awaited, None, False
        return awaited

    def send(self, value: Any) -> Any:  # noqa: ARG002 - a task sends nothing but None
        """One step."""
        return self.__next__()

    def throw(self, error: Any, *_: Any) -> Any:
        """One step, in which the call gets `error`."""
        try:
            if self._handed_over:
                return self._take_over_cancelled(error)
            if self._coroutine is not None:
                return self._go_on(self._coroutine.throw, error)
            if self._call is not None:  # cancelled before its first step
                self._end_call(error)
                return self._leave()
            self._calls.forget(self)
            self._task = None
            raise error
        finally:
            error = None  # as in _begin

    def _take_over_cancelled(self, error: asyncio.CancelledError) -> Any:
        """It has asked to be cancelled in its first step: the task must know it behind that one."""
        task = self._task
        assert task is not None
        task.cancel(*error.args)
        task.uncancel()  # once was enough
        return self._take_over()

    def close(self) -> None:
        """The task is destroyed before its end: so is the call, and nobody is told."""
        if self._coroutine is not None:
            self._coroutine.close()
        self._call = self.context = self._coroutine = self._task = None

    def __getattr__(self, name: str) -> Any:
        """Where a call is, what it waits for, its name: what a task shows of a coroutine."""
        return getattr(self._coroutine, name)


def _take_first_step(carrier: Carrier, call: Call) -> Any:
    return carrier.enter(call)


async def _await(awaitable: Awaitable[Any]) -> Any:
    """A coroutine around what an application returned instead of one."""
    return await awaitable
