"""Which task carries another call, and what is left of one."""

import asyncio
import contextvars
import gc
import weakref
from functools import partial

import anyio
import pytest

from .stage import Probe, Stage, bearer, perform

VAR = contextvars.ContextVar("VAR")


@pytest.fixture(params=["quiet", "debug"])
def play(request, runner):
    return partial(perform, runner, debug=request.param == "debug")


def keep(task, kept):
    kept.append(task)


def keep_weakly(task, kept):
    kept.append(weakref.ref(task))


def use_as_key(task, kept):
    sessions = weakref.WeakKeyDictionary()
    sessions[task] = "a session"
    kept.append(sessions)


def name(task, kept):
    task.set_name("of one call")


def mark(task, kept):
    task.request = "of one call"


def watch(task, kept):
    task.add_done_callback(print)
    task.remove_done_callback(print)


def cancel(task, kept):
    task.cancel()


def cancel_and_take_back(task, kept):
    task.cancel()
    task.uncancel()


def gather(task, kept):
    future = asyncio.get_running_loop().create_future()
    kept.append(asyncio.gather(future))
    future.add_done_callback(task.cancel)


def fail_with_it(task, kept):
    try:
        raise ValueError(task)
    except ValueError as error:
        kept.append(error)


def set_alarm(task, kept):
    kept.append(asyncio.get_running_loop().call_later(60, task.print_stack))


def enter_a_scope(task, kept):
    scope = anyio.CancelScope()
    kept.append(scope)
    scope.__enter__()


TRACES = [
    keep,
    keep_weakly,
    use_as_key,
    name,
    mark,
    watch,
    cancel,
    cancel_and_take_back,
    gather,
    fail_with_it,
    set_alarm,
    enter_a_scope,
]


def let_go(kept):
    for thing in kept:
        if isinstance(thing, asyncio.TimerHandle):
            thing.cancel()


class TestReuse:
    @pytest.mark.parametrize("leave", TRACES, ids=lambda leave: leave.__name__)
    def test_not_of_a_task_with_traces(self, play, leave) -> None:
        async def script(stage):
            async def app():
                names.append(bearer())
                leave(asyncio.current_task(), kept)

            names, kept = [await stage.bearer()], []
            await stage.ok(app)
            assert names[0] == names[1]  # it has carried a call before
            assert names[0] != await stage.bearer()
            let_go(kept)

        play(script)

    @pytest.mark.parametrize("leave", TRACES, ids=lambda leave: leave.__name__)
    @pytest.mark.parametrize("prepared", [True, False])
    def test_not_of_a_task_with_traces_of_its_first_call(self, play, leave, prepared) -> None:
        """When none is prepared, a call begins a turn later before Python 3.12."""

        async def script(stage):
            async def app():
                names.append(bearer())
                leave(asyncio.current_task(), kept)

            names, kept = [], []
            stage = stage if prepared else Stage()
            await stage.ok(app)
            assert names[0] != await stage.bearer()
            let_go(kept)
            await stage.calls.cancel()

        play(script)

    def test_of_one_that_was_not_prepared(self, play) -> None:
        async def script(_stage):
            stage = Stage()
            names = [await stage.bearer() for _ in range(4)]
            assert len(set(names[1:])) == 1
            await stage.calls.cancel()

        play(script)

    def test_sessions_by_task(self, play) -> None:
        """SQLAlchemy's async_scoped_session with scopefunc=current_task, without its remove()."""

        async def script(stage):
            sessions = weakref.WeakKeyDictionary()

            async def app():
                task = asyncio.current_task()
                assert task not in sessions
                sessions[task] = object()

            for _ in range(3):
                await stage.ok(app)

        play(script)

    def test_what_an_observer_holds_hides_nothing(self, play) -> None:
        """A monitor lets go of the idle task just when a call keeps it: the sum is the same."""

        async def script(stage):
            async def app():
                names.append(bearer())
                held[0] = asyncio.current_task()

            names = [await stage.bearer()]
            held = list(asyncio.all_tasks() - {asyncio.current_task()})
            await stage.ok(app)
            assert names[0] == names[1]
            assert names[0] != await stage.bearer()

        play(script)

    def test_an_idle_task_that_is_named_carries_nothing(self, play) -> None:
        async def script(stage):
            for task in asyncio.all_tasks():
                task.set_name("monitored")
            assert await stage.bearer() != "monitored"
            await asyncio.sleep(0)
            names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
            assert "monitored" not in names  # and has ended

        play(script)


class Thing:
    """What a call leaves in its context and in its frame."""


async def returns(kept):
    pass


async def waits(kept):
    await asyncio.sleep(0)


async def raises(kept):
    raise ValueError


async def waits_and_raises(kept):
    await asyncio.sleep(0)
    raise ValueError


async def is_cancelled(kept):
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    await asyncio.Event().wait()


async def cancels_itself(kept):
    asyncio.current_task().cancel()
    await asyncio.Event().wait()


async def keeps_its_task(kept):
    kept.append(asyncio.current_task())


ENDS = [returns, waits, raises, waits_and_raises, is_cancelled, cancels_itself, keeps_its_task]


class Forgetful(Probe):
    def raised(self, error):
        self.returned()


@pytest.fixture
def uncollected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
class TestWhatIsLeft:
    @pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
    def test_nothing_of_a_call(self, runner, end) -> None:
        async def script(stage):
            async def app():
                thing = Thing()
                things.append(weakref.ref(thing))
                VAR.set(thing)
                await end(kept)

            kept = []
            for _ in range(2):
                things = []
                probe = Forgetful(app)
                stage.loop.call_soon(stage.calls.start, probe)
                await probe.over.wait()
                left = weakref.ref(probe)
                del probe
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert things[0]() is None
                assert left() is None

        perform(runner, script)

    def test_no_carrier_in_the_end(self, runner) -> None:
        carriers = []

        async def script(stage):
            async def app():
                carriers.append(weakref.ref(asyncio.current_task()))
                carriers.append(weakref.ref(asyncio.current_task().get_coro()))

            async def again():
                await app()
                await asyncio.sleep(0)

            await stage.ok(app)
            await stage.ok(again)
            await stage.calls.cancel()
            await asyncio.sleep(0)
            assert [carrier() for carrier in carriers] == [None] * 4

        perform(runner, script)
