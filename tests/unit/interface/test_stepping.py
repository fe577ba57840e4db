"""The two forms of `interface.stepping` do the same; the interpreted tree tests the Python one."""

import asyncio
import importlib.util
from contextvars import ContextVar, copy_context
from pathlib import Path
from weakref import ref

import pytest

from granian_d.interface import stepping


def as_python():
    source = Path(stepping.__file__).parent / "stepping.py"
    spec = importlib.util.spec_from_file_location("stepping_in_python", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS = {"python": as_python(), "as installed": stepping}
ENDED = object()


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


class Pause:
    def __await__(self):
        yield "pause"
        return "over"


async def coroutine():
    await Pause()
    return "value"


def test_steps(form) -> None:
    steps = coroutine()
    assert form.step(steps, ENDED) == "pause"
    assert form.step(steps, ENDED) is ENDED


def test_any_iterator_steps(form) -> None:
    class Steps:
        count = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.count += 1
            if self.count == 2:
                raise StopIteration("value")
            return self.count

        def send(self, value):
            assert value is None
            return next(self)

    steps = Steps()
    assert form.step(steps, ENDED) == 1
    assert form.step(steps, ENDED) is ENDED


@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), SystemExit(1)])
def test_a_step_that_fails(form, error) -> None:
    async def failing():
        raise error

    with pytest.raises(type(error)) as caught:
        form.step(failing(), ENDED)
    assert caught.value is error


def test_nothing_is_held_behind_a_step(form) -> None:
    class Thing:
        pass

    async def waiting():
        await Awaitable()

    class Awaitable:
        def __await__(self):
            thing = Thing()
            things.append(ref(thing))
            yield thing

    things = []
    steps = waiting()
    form.step(steps, ENDED)
    assert things[0]() is not None  # the frame has it
    steps.close()
    assert things[0]() is None


def test_contexts(form) -> None:
    variable = ContextVar("variable", default="none")
    mine = copy_context()
    mine.run(variable.set, "mine")
    copy = form.copied(mine)

    def change(value, what):
        assert what == "two"
        seen = variable.get()
        variable.set(value)
        return seen

    assert form.run_in(copy, change, "new", "two") == "mine"
    assert (copy[variable], mine[variable], variable.get()) == ("new", "mine", "none")


def test_a_context_is_left_when_the_function_fails(form) -> None:
    variable = ContextVar("variable", default="none")

    def failing(value, _):
        variable.set(value)
        raise KeyError(value)

    context = copy_context()
    with pytest.raises(KeyError):
        form.run_in(context, failing, "x", None)
    assert (context[variable], variable.get()) == ("x", "none")
    assert form.run_in(context, lambda _one, _two: variable.get(), None, None) == "x"


def test_holders_are_counted(form) -> None:
    class Thing:
        pass

    thing = Thing()
    alone = form.count_holders(thing)
    another = thing
    assert form.count_holders(thing) == alone + 1
    weak = ref(thing)
    assert form.count_holders(thing) == alone + 2
    del another, weak
    assert form.count_holders(thing) == alone
