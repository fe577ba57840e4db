"""How calls end, begin within others, and are ended."""

import asyncio
import gc
import sys
import types
from functools import partial

import pytest

from .stage import Probe, Stage, perform

FAILURES = [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]


@pytest.fixture(params=["quiet", "debug"])
def play(request, runner):
    return partial(perform, runner, debug=request.param == "debug")


async def nothing():
    pass


async def wait_for_ever():
    await asyncio.Event().wait()


class TestReturning:
    @pytest.mark.parametrize("waits", [False, True])
    def test_what_can_be_awaited(self, play, waits) -> None:
        async def script(stage):
            async def app():
                if waits:
                    await asyncio.sleep(0)
                assert isinstance(asyncio.current_task(), asyncio.Task)
                ran.append(True)

            class Awaitable:
                def __await__(self):
                    return app().__await__()

            @types.coroutine
            def generated():
                yield from app()

            ran = []
            for make in (app, Awaitable, generated, lambda: asyncio.ensure_future(app())):
                await stage.ok(make)
            assert len(ran) == 4

        play(script)

    @pytest.mark.parametrize("result", [None, 1, iter(()), (number for number in range(1))])
    def test_what_cannot_be_awaited(self, play, result) -> None:
        async def script(stage):
            assert type(await stage.see(lambda: result)) is TypeError
            await stage.ok(nothing)

        play(script)

    def test_a_coroutine_that_has_been_awaited(self, play) -> None:
        async def script(stage):
            coroutine = nothing()
            await coroutine
            error = await stage.see(lambda: coroutine)
            assert "already awaited" in str(error)

        play(script)


class TestRaising:
    @pytest.mark.parametrize("kind", FAILURES)
    @pytest.mark.parametrize("waits", [False, True])
    def test_anything(self, play, kind, waits) -> None:
        async def script(stage):
            async def app():
                if waits:
                    await asyncio.sleep(0)
                raise error

            error = kind()
            assert await stage.see(app) is error
            assert error.__context__ is None
            await stage.ok(nothing)

        play(script)

    @pytest.mark.parametrize("kind", FAILURES)
    def test_before_there_is_a_coroutine(self, play, kind) -> None:
        async def script(stage):
            def app():
                raise error

            error = kind()
            assert await stage.see(app) is error
            await stage.ok(nothing)

        play(script)

    @pytest.mark.parametrize("waits", [False, True])
    def test_stop_iteration(self, play, waits) -> None:
        async def script(stage):
            async def app():
                if waits:
                    await asyncio.sleep(0)
                raise StopIteration

            def plain():
                raise StopIteration

            assert "StopIteration" in str(await stage.see(app))
            assert "StopIteration" in str(await stage.see(plain))

        play(script)

    def test_what_a_task_says_of_a_bad_yield(self, play) -> None:
        """The same as when the application has a task of its own."""

        async def script(stage):
            other = asyncio.new_event_loop()
            foreign = other.create_future()
            future = stage.loop.create_future()
            future._asyncio_future_blocking = False

            def endless():
                yield

            class Bad:
                def __init__(self, what):
                    self.what = what

                def __await__(self):
                    return iter([self.what])

            async def app(what, said):
                try:
                    await what()
                except RuntimeError as error:
                    said.append(str(error).partition(":")[0].partition(" in task")[0][:40])

            async def itself():
                await asyncio.current_task()

            cases = [partial(Bad, what) for what in (1, object(), endless(), future)]
            for case in [*cases, lambda: foreign, itself]:
                said = []
                await stage.loop.create_task(app(case, said))
                await stage.ok(lambda case=case, said=said: app(case, said))
                assert len(said) == 2
                if case is not cases[-1] and "Task <" not in said[0]:
                    assert said[0] == said[1]
            other.close()

        play(script)


class TestWithinAnother:
    """An answer makes the engine begin the next request, while the task of the answer runs."""

    def test_has_a_task_of_its_own(self, play) -> None:
        async def script(stage):
            async def inner(waits):
                inside.append(asyncio.current_task())
                if waits:
                    await asyncio.sleep(0)
                    assert inside[-1] is asyncio.current_task()

            async def app():
                outer = asyncio.current_task()
                for waits in (False, True, False):
                    stage.start(partial(inner, waits))
                    assert asyncio.current_task() is outer
                await asyncio.sleep(0)
                assert asyncio.current_task() is outer
                assert outer not in inside

            inside = []
            await stage.ok(app)
            await stage.calls.settle()
            assert len(set(inside)) == 3

        play(script)

    def test_begins_at_once(self, play) -> None:
        async def script(stage):
            assert stage.start(nothing).ends == ["returned"]
            assert stage.start(nothing).ends == ["returned"]

        play(script)

    @pytest.mark.parametrize("waits", [False, True])
    def test_knows_nothing_of_its_errors(self, play, waits) -> None:
        async def script(stage):
            async def inner():
                if waits:
                    await asyncio.sleep(0)
                assert sys.exception() is None
                raise KeyError

            async def app():
                await asyncio.sleep(0)
                probes.append(stage.start(inner))
                try:
                    raise ValueError
                except ValueError:
                    probes.append(stage.start(inner))
                    handled = type(sys.exception())
                assert handled is ValueError
                assert sys.exception() is None

            probes = []
            await stage.ok(app)
            await stage.calls.settle()
            for probe in probes:
                (error,) = probe.ends
                assert type(error) is KeyError
                assert error.__context__ is None

        play(script)

    @pytest.mark.parametrize("waits", [False, True])
    @pytest.mark.parametrize("fails", [False, True])
    def test_when_the_other_has_just_ended(self, play, waits, fails) -> None:
        """`returned` and `raised` end exchanges, and so make the next call begin."""

        async def script(stage):
            class First(Probe):
                def returned(self):
                    following.append(stage.start(inner))
                    super().returned()

                def raised(self, error):
                    self.returned()

            async def inner():
                raise KeyError

            async def app():
                if waits:
                    await asyncio.sleep(0)
                if fails:
                    raise ValueError

            following = []
            first = First(app)
            stage.loop.call_soon(stage.calls.start, first)
            await first.over.wait()
            await following[0].over.wait()
            assert following[0].ends[0].__context__ is None
            await stage.ok(nothing)

        play(script)


class TestTheLastOnes:
    def test_are_waited_for(self, play) -> None:
        async def script(stage):
            async def app():
                await asyncio.sleep(0)
                if len(probes) < 5:
                    probes.append(stage.start(app))
                await asyncio.sleep(0)

            probes = []
            probes.append(await stage.begin(app))
            await stage.calls.settle()
            assert [probe.ends for probe in probes] == [["returned"]] * 5
            assert all(probe.task is None for probe in probes)

        play(script)

    def test_are_cancelled_in_every_state(self, runner) -> None:
        async def main():
            stage = Stage()
            waiting = await stage.begin(wait_for_ever)
            unborn = [stage.start(wait_for_ever), stage.start(wait_for_ever)]
            await stage.calls.cancel()
            for probe in (waiting, *unborn):
                (error,) = probe.ends
                assert type(error) is asyncio.CancelledError
            assert asyncio.all_tasks() == {asyncio.current_task()}

        runner.run(main())

    def test_are_cancelled_once(self, play) -> None:
        async def script(stage):
            async def app():
                try:
                    await wait_for_ever()
                except asyncio.CancelledError:
                    late.append(stage.start(wait_for_ever))
                    await asyncio.sleep(0)
                    assert asyncio.current_task().cancelling() == 1
                    raise

            late = []
            probe = await stage.begin(app)
            await stage.calls.cancel()
            for one in (probe, *late):
                (error,) = one.ends
                assert type(error) is asyncio.CancelledError

        play(script)

    def test_end_with_their_loop(self, runner) -> None:
        """Whoever stops a loop cancels its tasks; no carrier is left pending (see `runner`)."""

        async def main():
            stage = Stage()
            stage.calls.prepare()
            probes.append(await stage.begin(wait_for_ever))
            probes.append(stage.start(wait_for_ever))
            stage.calls.prepare()

        probes = []
        runner.run(main())
        runner.close()
        gc.collect()
        for probe in probes:
            (error,) = probe.ends
            assert type(error) is asyncio.CancelledError


class TestForgotten:
    """Calls that nobody cancels, then nobody knows."""

    def test_an_idle_carrier_is_no_news(self, runner) -> None:
        async def main():
            stage = Stage()
            stage.calls.prepare()
            await stage.ok(nothing)
            await asyncio.sleep(0)

        runner.run(main())
        gc.collect()  # see `runner`

    def test_a_call_is(self, runner) -> None:
        async def main():
            await Stage().begin(wait_for_ever)

        news = []
        runner.get_loop().set_exception_handler(lambda _loop, context: news.append(context))
        runner.run(main())
        gc.collect()
        assert [context["message"] for context in news] == ["Task was destroyed but it is pending!"]
