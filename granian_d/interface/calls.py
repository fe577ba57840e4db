"""The running calls of an asynchronous application, and the tasks that carry them.

Such an application must run in a task: `current_task`, time-outs and cancel scopes want one. A new
task for each call costs more than most calls do, and before Python 3.12 it begins a turn of the
loop late. So a Carrier is the coroutine of a task that waits at a Gate between its calls. The gate
wakes the task at once and the task's own code does the rest: nothing of asyncio is replaced or
reached around. A call that never waits leaves its carrier at the gate for the next one, within the
turn in which its request came. One that waits has its carrier for itself, and they end together.

No call can tell that another was carried before it. Each runs in a context of its own, and a task
is used again only if nobody kept hold of it, watched it, renamed it or asked it to cancel. See the
record on carriers in docs/adr.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final
from weakref import getweakrefcount

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from contextvars import Context
    from types import CodeType, FrameType

# For the makers of tasks of their own (asyncio's documentation, "Extending").
_enter_task = asyncio._enter_task  # noqa: SLF001 - documented in spite of its name
_leave_task = asyncio._leave_task  # noqa: SLF001 - documented in spite of its name

_RETURNED: Final = object()

_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Call:
    """One call of an application. Its methods never raise, but for `begin`.

    Attributes:
        task: carries it while it waits; None before and after.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> Awaitable[Any]:
        """Call the application; raises whatever it raises."""
        raise NotImplementedError

    def returned(self) -> None:
        """The application has returned."""
        raise NotImplementedError

    def raised(self, error: BaseException) -> None:
        """The application has raised."""
        raise NotImplementedError


class Calls:
    """The calls of one application.

    Attributes:
        loop: they run on it.
        closing: those under way are being cancelled; what they raise is our doing.
    """

    __slots__ = ("_spare", "_waiting", "closing", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closing = False
        self._spare: Carrier | None = None
        self._waiting: set[Call] = set()  # held, so that none of them is collected

    def start(self, call: Call) -> None:
        """Run `call`; it has often ended when this returns."""
        carrier = self._spare
        if carrier is None or carrier.leaves:
            carrier = Carrier(self)
        else:
            self._spare = None
        carrier.carry(call)

    def prepare(self) -> None:
        """Have a carrier at its gate for the next call."""
        if (self._spare is None or self._spare.leaves) and not self.closing:
            self._spare = Carrier(self)

    def spare(self, carrier: Carrier) -> bool:
        """A carrier has become idle; False if it is not wanted any more."""
        if self._spare is not None or self.closing:
            return False
        self._spare = carrier
        return True

    def waits(self, call: Call) -> None:
        """`call` has begun to wait for something."""
        self._waiting.add(call)

    def ended(self, call: Call) -> None:
        """A call that has waited is over."""
        call.task = None
        self._waiting.discard(call)

    async def settle(self) -> None:
        """Wait until no call is under way; takes as long as the application does."""
        while self._waiting:
            await asyncio.wait(self._tasks())

    async def cancel(self) -> None:
        """Cancel what is under way, and see it end."""
        self.closing = True
        spare, self._spare = self._spare, None
        if spare is not None:
            await spare.dismiss()
        for task in self._tasks():
            task.cancel()
        await self.settle()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self._waiting if call.task is not None]


class CarrierTask(asyncio.Task):  # type: ignore[type-arg]  # it is not generic at run time
    """A task that remembers whether somebody has changed it."""

    touched = False

    def add_done_callback(self, fn: Callable[..., object], /, **context: Any) -> None:
        """See asyncio.Task."""
        self.touched = True
        super().add_done_callback(fn, **context)

    def cancel(self, msg: Any | None = None) -> bool:
        """See asyncio.Task."""
        self.touched = True
        return super().cancel(msg)

    def set_name(self, value: object, /) -> None:
        """See asyncio.Task."""
        self.touched = True
        super().set_name(value)


class Gate:
    """What a carrier's task waits for between two calls: a future that wakes it at once.

    Attributes:
        passing: a call is taking its first step, for the task that waits.
        cancelled: somebody has cancelled the task while it waited.
    """

    __slots__ = ("_asyncio_future_blocking", "_loop", "_wakeup", "cancelled", "passing")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._wakeup: Callable[[Gate], None] | None = None
        self.passing = False
        self.cancelled = False

    @property
    def waited_for(self) -> bool:
        """The task has come to the gate."""
        return self._wakeup is not None

    def open(self) -> None:
        """Have the task go on now. No other task may be running."""
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup(self)

    # --- what a task asks of a future ----------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the task."""
        return self._loop

    def add_done_callback(
        self,
        callback: Callable[[Gate], None],
        *,
        context: Context | None = None,  # noqa: ARG002 - each call has a context of its own
    ) -> None:
        """Keep the task's way to be woken."""
        self._wakeup = callback

    def done(self) -> bool:
        """It has yet to open, whenever a task waits for it."""
        return False

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002 - as a future's
        """Somebody cancels the task: a call that takes its first step, or who finds it idle."""
        self.cancelled = True
        if not self.passing:
            self._loop.call_soon(self.open)
        return True

    def result(self) -> None:
        """Nothing, unless the task was cancelled."""
        if self.cancelled:
            raise asyncio.CancelledError


class Carrier:
    """The coroutine of a task, written out: the task steps it, and it steps its call.

    The first step of a call is not the task's. It is taken for the task, with the task entered as
    the current one, while the task waits at its gate; only if the call has to wait, the task is
    told of what, and goes on as if it had taken that step itself.
    """

    __slots__ = (
        "_awaited",
        "_call",
        "_calls",
        "_context",
        "_coroutine",
        "_dismissed",
        "_gate",
        "_handed",
        "_loop",
        "_must_cancel",
        "_task",
    )

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._loop = calls.loop
        self._gate = Gate(calls.loop)
        self._call: Call | None = None
        self._context: Context | None = None
        self._coroutine: Any = None  # of the call, from its first step on
        self._awaited: Any = None  # by the first step
        self._handed = False  # that, to the task, which has still to ask for it
        self._must_cancel = False
        self._dismissed = False
        self._task: CarrierTask | None = None
        self._task = CarrierTask(self, loop=calls.loop, **_EAGER)

    @property
    def leaves(self) -> bool:
        """It was cancelled while it was idle, and takes no more calls."""
        return self._gate.cancelled

    def carry(self, call: Call) -> None:
        """Begin `call`: now, unless the task has still to take its own first step."""
        self._call = call
        if not self._gate.waited_for:
            call.task = self._task
            self._calls.waits(call)
            return
        try:
            _enter_task(self._loop, self._task)
        except RuntimeError:  # another task is being executed
            self._begin_within(call)
        else:
            self._begin(call)

    def _begin_within(self, call: Call) -> None:
        """Begin `call` in the middle of a task: an answer of its has made the engine go on."""
        current = asyncio.current_task(self._loop)
        assert current is not None
        _leave_task(self._loop, current)
        try:
            _enter_task(self._loop, self._task)
            self._begin(call)
        finally:
            _enter_task(self._loop, current)

    async def dismiss(self) -> None:
        """End the idle task: there will be no other call."""
        task = self._task
        self._dismissed = True
        if task is not None:
            self._loop.call_soon(self._gate.open)
            await asyncio.wait([task])

    def _begin(self, call: Call) -> None:
        """Take the first step for the task, which has been entered as the current one."""
        task = self._task
        assert task is not None
        holders = sys.getrefcount(task) + getweakrefcount(task)
        self._context = copy_context()
        self._gate.passing = True
        try:
            awaited = self._first_step(call, self._context)
            kept = sys.getrefcount(task) + getweakrefcount(task) != holders
        finally:
            _leave_task(self._loop, task)
            self._gate.passing = False
        if awaited is not _RETURNED:
            self._hand_over(call, awaited)
            return
        self._call = self._context = self._coroutine = None
        if kept or self._gate.cancelled or task.touched or not self._calls.spare(self):
            self._dismissed = True
            self._gate.open()

    def _first_step(self, call: Call, context: Context) -> Any:
        """What the call waits for; `_RETURNED` when it has ended, and been dealt with."""
        try:
            awaited = context.run(self._enter, call)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it must not end the loop
            call.raised(error)
            return _RETURNED
        if awaited is _RETURNED:
            call.returned()
        return awaited

    def _enter(self, call: Call) -> Any:
        """What the call waits for after its first step."""
        coroutine: Any = call.begin()
        if type(coroutine) is not CoroutineType and not asyncio.iscoroutine(coroutine):
            coroutine = _await(coroutine)
        self._coroutine = coroutine
        try:
            return coroutine.send(None)
        except StopIteration:
            return _RETURNED

    def _hand_over(self, call: Call, awaited: Any) -> None:
        """The call waits: have its task wait for the same."""
        call.task = self._task
        self._calls.waits(call)
        self._calls.prepare()
        self._awaited = awaited
        self._handed = True
        cancelled, self._gate.cancelled = self._gate.cancelled, False
        self._gate.open()
        if cancelled:  # by itself, in that step: what it waits for is cancelled, as tasks do
            if awaited is None:
                self._must_cancel = True
            else:
                awaited.cancel()

    def _go_on(self, step: Callable[[Any], Any], value: Any) -> Any:
        """Another step of a call that has waited."""
        call, context = self._call, self._context
        assert call is not None
        assert context is not None
        try:
            awaited = context.run(step, value)
            if awaited is not _RETURNED:
                return awaited
            call.returned()
        except StopIteration:
            call.returned()
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it must not end the loop
            call.raised(error)
        self._calls.ended(call)
        return self._leave()

    def _start(self, call: Call) -> Any:
        """The first step, taken by the task itself: a call that came before it was at its gate."""
        self._context = copy_context()
        awaited = self._go_on(self._enter, call)
        self._calls.prepare()
        return awaited

    def _leave(self) -> Any:
        """End the task."""
        self._call = self._context = self._coroutine = self._awaited = self._task = None
        raise StopIteration

    # --- what a task asks of a coroutine -------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, None]:
        return self  # all that is used of a generator is here

    def __iter__(self) -> Carrier:
        return self

    def __next__(self) -> Any:
        if self._handed:
            awaited, self._awaited, self._handed = self._awaited, None, False
            return awaited
        coroutine = self._coroutine
        if coroutine is not None:
            if self._must_cancel:
                self._must_cancel = False
                return self._go_on(coroutine.throw, asyncio.CancelledError())
            return self._go_on(coroutine.send, None)
        if self._call is not None:
            return self._start(self._call)
        if self._dismissed:
            return self._leave()
        self._gate._asyncio_future_blocking = True  # noqa: SLF001 - how a coroutine yields a future
        return self._gate

    def send(self, value: Any) -> Any:  # noqa: ARG002 - a task sends nothing but None
        """One step."""
        return self.__next__()

    def throw(self, error: Any, *_: Any) -> Any:
        """One step, in which the call gets `error`."""
        if self._coroutine is not None:
            return self._go_on(self._coroutine.throw, error)
        call = self._call
        if call is not None:  # cancelled before its first step
            call.raised(error)
            self._calls.ended(call)
        self._call = self._task = None
        raise error

    def close(self) -> None:
        """The task is destroyed before its end: so is the call, and nobody is told."""
        if self._coroutine is not None:
            self._coroutine.close()
        self._call = self._context = self._coroutine = self._task = None

    # The application's own, so that a task shows where its call is. inspect and asyncio read them.

    @property
    def cr_frame(self) -> FrameType | None:
        """The frame of the application's coroutine."""
        return getattr(self._coroutine, "cr_frame", None)

    @property
    def cr_code(self) -> CodeType | None:
        """Its code."""
        return getattr(self._coroutine, "cr_code", None)

    @property
    def cr_await(self) -> Any:
        """What it waits for."""
        return getattr(self._coroutine, "cr_await", None)

    @property
    def cr_running(self) -> bool:
        """Whether it runs."""
        return bool(getattr(self._coroutine, "cr_running", False))

    @property
    def cr_suspended(self) -> bool:
        """Whether it waits."""
        return bool(getattr(self._coroutine, "cr_suspended", True))


async def _await(awaitable: Awaitable[Any]) -> Any:
    """A coroutine around what an application returned instead of one."""
    return await awaitable
