"""Serving WSGI applications for the tests of this folder."""

import asyncio

import pytest

from granian_d.interface.registry import load

from .memory import MemoryExchange, context


@pytest.fixture
def serve(run):
    """Have an application answer an exchange, and wait until both are done."""

    def serve(app, exchange=None, script=None, **changes):
        exchange = exchange or MemoryExchange()

        async def main():
            interface = load("wsgi")(app, context(asyncio.get_running_loop(), **changes))
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
