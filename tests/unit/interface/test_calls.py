"""Carriers: what an application can tell of the task that it runs in, and do to it."""

import asyncio
import contextvars
import inspect
import io
import sys
from functools import partial

import anyio
import pytest

from .stage import Stage, perform

VAR = contextvars.ContextVar("VAR", default="of nobody")


@pytest.fixture(params=["quiet", "debug"])
def play(request, runner):
    return partial(perform, runner, debug=request.param == "debug")


class TestTheTask:
    def test_is_current_at_every_step(self, play) -> None:
        async def script(stage):
            seen = []

            def look():
                task = asyncio.current_task()
                assert isinstance(task, asyncio.Task)
                assert task in asyncio.all_tasks()
                assert anyio.get_current_task().id == id(task)
                assert not task.done()
                seen.append(task)

            async def app():
                look()
                await asyncio.sleep(0)
                look()
                await stage.loop.run_in_executor(None, int)
                look()

            await stage.ok(app)
            assert len(seen) == 3
            assert len(set(seen)) == 1

        play(script)

    def test_carries_what_never_waits_at_once(self, play) -> None:
        async def script(stage):
            async def app():
                pass

            for _ in range(3):
                assert (await stage.begin(app)).at_once

        play(script)

    def test_carries_many_calls_in_turn_each_with_its_own_name(self, play) -> None:
        async def script(stage):
            names = []

            async def app():
                names.append(asyncio.current_task().get_name())
                assert asyncio.current_task().get_name() == names[-1]
                async with asyncio.timeout(10), asyncio.Lock():
                    pass
                if len(names) == 2:
                    raise ValueError

            for _ in range(5):
                probe = await stage.begin(app)
                probe.ends.clear()  # an error holds the frames it has come through
            assert len(set(names)) == 5
            assert len({name.partition(".")[0] for name in names}) == 1

        play(script)

    def test_has_another_name_for_a_call_that_is_put_off(self, play) -> None:
        async def script(stage):
            names = []

            async def app():
                names.append(asyncio.current_task().get_name())

            await stage.begin(app)
            try:
                raise ValueError
            except ValueError:
                probe = stage.start(app)  # it must not see that error
            await probe.over.wait()
            assert len(set(names)) == 2

        play(script)

    def test_shows_where_its_call_is(self, play) -> None:
        async def script(stage):
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            (idle,) = tasks
            assert idle.get_stack() == []
            assert "Carrier" in repr(idle)

            async def app():
                task = asyncio.current_task()
                assert task.get_stack()[-1].f_code is app.__code__
                assert "app() running" in repr(task)
                assert inspect.getcoroutinestate(task.get_coro()) == "CORO_RUNNING"
                await go.wait()

            go = asyncio.Event()
            task = (await stage.begin(app)).task
            text = io.StringIO()
            task.print_stack(file=text)
            assert "await go.wait()" in text.getvalue()
            assert task.get_coro().cr_await is not None
            assert __file__ in repr(task)
            assert inspect.getcoroutinestate(task.get_coro()) == "CORO_SUSPENDED"
            go.set()

        play(script)


class TestContext:
    def test_is_a_calls_own(self, play) -> None:
        async def script(stage):
            seen = []

            async def app(waits):
                seen.append(VAR.get())
                VAR.set(seen)
                if waits:
                    await asyncio.sleep(0)
                    seen.append(VAR.get() is seen)

            for waits in (False, False, True, False):
                await stage.ok(lambda waits=waits: app(waits))
            assert seen == ["of nobody", "of nobody", "of nobody", True, "of nobody"]

        play(script)

    def test_is_copied_from_the_workers(self, runner) -> None:
        async def main():
            VAR.set("of the worker")
            stage = Stage()
            stage.calls.prepare()
            VAR.set("of another")
            assert await stage.see(app) == "returned"
            assert seen == ["of the worker"]

        async def app():
            seen.append(VAR.get())

        seen = []
        runner.run(main())

    def test_is_not_that_of_a_call_which_makes_it_begin(self, play) -> None:
        """An answer makes an engine begin the next request of its connection."""

        async def script(stage):
            seen = []

            async def following():
                seen.append(VAR.get())
                await asyncio.sleep(0)
                seen.append(VAR.get())

            async def app():
                VAR.set("of the first")
                await asyncio.sleep(0)
                probes.extend((stage.start(following), stage.start(following)))
                assert VAR.get() == "of the first"

            probes = []
            await stage.ok(app)
            await stage.calls.settle()
            assert seen == ["of nobody"] * 4

        play(script)

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="Task.get_context is of 3.12")
    def test_is_what_the_task_says(self, play) -> None:
        async def script(stage):
            async def app():
                VAR.set("of this call")
                assert asyncio.current_task().get_context()[VAR] == "of this call"
                await asyncio.sleep(0)
                assert asyncio.current_task().get_context()[VAR] == "of this call"

            await stage.ok(app)

        play(script)


class TestCancelling:
    def test_itself_without_waiting(self, play) -> None:
        async def script(stage):
            async def app():
                assert asyncio.current_task().cancelling() == 0
                asyncio.current_task().cancel()
                tasks.append(asyncio.current_task())

            async def following():
                assert asyncio.current_task().cancelling() == 0
                await asyncio.sleep(0)

            tasks = []
            await stage.ok(app)
            assert tasks[0].cancelled()  # as a task does whose coroutine ends all the same
            await stage.ok(following)

        play(script)

    def test_itself_before_waiting(self, play) -> None:
        async def script(stage):
            async def app(wait):
                asyncio.current_task().cancel("why")
                with pytest.raises(asyncio.CancelledError):
                    await wait()
                assert asyncio.current_task().cancelling() == 1
                assert asyncio.current_task().uncancel() == 0
                await asyncio.sleep(0)

            await stage.ok(lambda: app(lambda: asyncio.sleep(0)))
            await stage.ok(lambda: app(asyncio.Event().wait))

        play(script)

    def test_idle_carriers(self, play) -> None:
        async def script(stage):
            async def app():
                await asyncio.sleep(0)

            for turns in (0, 1, 2):
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
                probe = stage.start(app)
                for _ in range(turns):
                    await asyncio.sleep(0)
                await stage.ok(app)
                await probe.over.wait()
                assert probe.ends == ["returned"]

        play(script)

    def test_a_carrier_before_its_first_step(self, runner) -> None:
        async def main():
            stage = Stage()
            stage.calls.prepare()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            assert stage.start(app).ends in ([], ["returned"])
            await stage.calls.settle()
            assert await stage.see(app) == "returned"
            await stage.calls.cancel()

        async def app():
            pass

        runner.run(main())

    def test_a_call_that_waits(self, play) -> None:
        async def script(stage):
            async def app():
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError as error:
                    reasons.append(error.args)
                await asyncio.sleep(0)

            reasons = []
            probe = await stage.begin(app)
            probe.task.cancel("enough")
            await probe.over.wait()
            assert (probe.ends, reasons) == (["returned"], [("enough",)])

        play(script)


async def times_out():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def waits_for():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)


async def has_a_group():
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            group.create_task(fails())


async def has_a_group_and_fails():
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            raise ValueError


async def shields():
    inner = asyncio.ensure_future(asyncio.sleep(0, "done"))
    asyncio.current_task().cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.shield(inner)
    asyncio.current_task().uncancel()
    assert await inner == "done"


async def gathers():
    assert await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]


async def has_an_anyio_group():
    with pytest.raises(ExceptionGroup):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(fails)


async def cancels_a_scope():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        group.cancel_scope.cancel()
        await anyio.sleep_forever()
    await asyncio.sleep(0)


async def cancels_a_scope_without_waiting():
    with anyio.CancelScope() as scope:
        scope.cancel()
    await asyncio.sleep(0)


async def fails_after():
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await anyio.sleep_forever()


async def has_a_thread():
    assert await anyio.to_thread.run_sync(int) == 0
    assert await asyncio.to_thread(VAR.get) == "of nobody"


async def fails():
    raise ValueError


STRUCTURES = [
    times_out,
    waits_for,
    has_a_group,
    has_a_group_and_fails,
    shields,
    gathers,
    has_an_anyio_group,
    cancels_a_scope,
    cancels_a_scope_without_waiting,
    fails_after,
    has_a_thread,
]


@pytest.mark.parametrize("app", STRUCTURES, ids=lambda app: app.__name__)
def test_structured_concurrency(play, app) -> None:
    async def script(stage):
        async def twice():
            await app()
            await app()
            counts.append(asyncio.current_task().cancelling())

        counts = []
        await asyncio.create_task(twice())
        await stage.ok(twice)
        await stage.ok(twice)
        assert len(set(counts)) == 1  # as in a task of its own

    play(script)
