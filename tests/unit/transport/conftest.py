"""Both loops, both transports; a bench for single connections, a house for a worker's whole transport."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from granian_d.transport import accept, deadlines, tcp
from tests.unit.transport import transports
from tests.unit.transport.bench import Bench
from tests.unit.transport.house import House

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def runner(request):
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as made:
        yield made


@pytest.fixture
def loop(runner):
    return runner.get_loop()


@pytest.fixture(params=transports.NAMES)
def transport(request):
    """The name of the transport; a test may leave one out with `parametrize`."""
    return transports.need(request.param)


@pytest.fixture
def bench(runner, transport):
    made = Bench(runner, transport)
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch):
    """The waits of the transport, short enough to wait for."""
    monkeypatch.setattr(deadlines, "TICK_S", 0.01)
    monkeypatch.setattr(tcp, "LINGER_S", 0.05)
    monkeypatch.setattr(tcp, "FLUSH_LOOK_S", 0.05)
    monkeypatch.setattr(accept, "RETRY_S", 0.01)


@pytest.fixture
def run(runner, transport, quick):
    """Run a story, an `async def` that is given a House, to its end."""

    def play(story, **options) -> None:
        async def staged() -> None:
            house = House(asyncio.get_running_loop(), transport, **options)
            try:
                await asyncio.wait_for(story(house), 30)
            finally:
                await house.clear()

        runner.run(staged())

    return play
