"""Every test of an interface runs on both loops."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Faults(list[dict[str, Any]]):
    """What reached the loop's exception handler."""

    def take(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.append(context)


@pytest.fixture(params=list(LOOPS))
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    faults = Faults()
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        runner.get_loop().set_exception_handler(faults.take)
        yield runner
    assert not faults


@pytest.fixture
def loop(runner: asyncio.Runner) -> asyncio.AbstractEventLoop:
    return runner.get_loop()


@pytest.fixture
def run(runner: asyncio.Runner) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return runner.run
