"""Serving WSGI applications for the tests of this folder: in a thread, and on the loop."""

import asyncio

import pytest

from granian_d.interface.registry import load
from granian_d.interface.wsgi.lone import PROOF_CALLS

from .memory import MemoryExchange, context

PLACES = ("thread", "loop")
in_a_thread = pytest.mark.parametrize("place", ["thread"], indirect=True)


def prove(interface):
    """Have the application pass for a quick one, as if it had been called often enough."""
    for _ in range(PROOF_CALLS):
        interface.took(slow=False, wrote=False)


@pytest.fixture(params=PLACES)
def place(request):
    """Where the application is called."""
    return request.param


@pytest.fixture
def serve(run, place):
    """Have an application answer an exchange, and wait until both are done."""

    def serve(app, exchange=None, script=None, **changes):
        exchange = exchange or MemoryExchange()
        if place == "loop":
            changes = {"blocking_threads": 1, **changes}

        async def main():
            interface = load("wsgi")(app, context(asyncio.get_running_loop(), **changes))
            if place == "loop":
                prove(interface)
            await interface.startup()
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await exchange.ended()
            await interface.settle()
            await interface.shutdown()
            interface.close()
            await asyncio.sleep(0)

        run(main())
        return exchange

    return serve
