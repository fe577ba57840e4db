"""What a worker tells of its tasks and threads."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest
import uvloop

from granian_d.worker import stacks


async def innermost(event):
    await event.wait()


async def numbers(event):
    await innermost(event)
    yield 1


class Awaitable:
    """An object whose __await__ runs a coroutine."""

    def __init__(self, event):
        self._event = event

    def __await__(self):
        return innermost(self._event).__await__()

    def __repr__(self):
        raise AssertionError("nothing of the application may be called")


async def by_coroutine(event):
    await innermost(event)


async def by_generator(event):
    async for _ in numbers(event):
        pass


async def by_object(event):
    await Awaitable(event)


async def by_group(event):
    await asyncio.gather(innermost(event), innermost(event))


def told(make, count=1, loop_factory=asyncio.new_event_loop):
    """What is told while `count` tasks wait in what `make` makes."""

    async def main():
        event = asyncio.Event()
        tasks = [asyncio.create_task(make(event), name=f"call-{n}") for n in range(count)]
        for _ in range(3):
            await asyncio.sleep(0)
        text = stacks.describe(asyncio.get_running_loop())
        event.set()
        await asyncio.gather(*tasks)
        return text

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


def functions(text, task):
    """The functions that a task waits in, outermost first."""
    part = text.partition(f"\n{task}, waiting for")[2].partition("\n\n")[0]
    return re.findall(r", line \d+, in (\w+)", part)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("make", "chain"),
    [
        (by_coroutine, ["by_coroutine", "innermost", "wait"]),
        (by_generator, ["by_generator", "numbers", "innermost", "wait"]),
        (by_object, ["by_object", "innermost", "wait"]),
        (by_group, ["by_group"]),
    ],
)
def test_the_chain_of_what_is_awaited(make, chain, loop_factory):
    text = told(make, loop_factory=loop_factory)
    assert functions(text, "call-0") == chain
    assert "await event.wait()" in text


def test_what_a_task_waits_for():
    async def for_another(event):
        await asyncio.create_task(innermost(event), name="the other")

    assert "call-0, waiting for the other:" in told(for_another)
    assert "call-0, waiting for a _GatheringFuture:" in told(by_group)
    assert "call-0, waiting for a Future:" in told(by_coroutine)


def test_tasks_at_the_same_place_are_told_once():
    text = told(by_coroutine, 12)
    assert "13 task(s)" in text  # and the one that asks
    assert text.count("in by_coroutine") == 1
    assert re.search(r"\ncall-0(, call-\d+){4} and 7 more, waiting for a Future:", text)


def test_a_text_has_a_bound(monkeypatch):
    monkeypatch.setattr(stacks, "TEXT_CHARS", 100)
    text = told(by_coroutine)
    assert len(text) < 150
    assert text.endswith("(cut here)\n")


def test_threads_by_name():
    release, begun = threading.Event(), threading.Event()

    def hold_on():
        begun.set()
        release.wait(20)

    thread = threading.Thread(target=hold_on, name="the pool of the application")
    thread.start()
    begun.wait(20)
    try:
        text = told(by_coroutine)
    finally:
        release.set()
        thread.join()
    part = text.partition("the pool of the application:")[2]
    assert "in hold_on" in part.partition("\n\n")[0]
    assert "MainThread: runs the loop, and tells this" in text
