"""Serving WSGI applications for the tests of this folder: in a thread, and on the loop."""

import asyncio
import threading

import pytest

from granian_d.http import states
from granian_d.interface.registry import load
from granian_d.interface.wsgi.lone import PROOF_CALLS

from .memory import MemoryExchange, context

PLACES = ("thread", "loop")
LOOP, THREAD = "MainThread", "wsgi-1"  # the names of the threads

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


class Clock:
    """Time as the test wants it."""

    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns


class Notes(list):
    """Where calls ran: the names of their threads."""

    def take(self):
        self.append(threading.current_thread().name)


class Turned(MemoryExchange):
    """An exchange of an engine that begins the next request from within the last `send`."""

    __slots__ = ("then",)

    def _end(self):
        super()._end()
        self.then()


@pytest.fixture
def play(run):
    """Run a script over an interface with one thread."""

    def play(app, script, *, proved=True, **changes):
        async def main():
            facts = {"blocking_threads": 1, "clock_ns": Clock(), **changes}
            interface = load("wsgi")(app, context(asyncio.get_running_loop(), **facts))
            if proved:
                prove(interface)
            await interface.startup()
            await script(interface)
            await interface.settle()
            await interface.shutdown()
            interface.close()
            await asyncio.sleep(0)

        run(main())

    return play


async def ask(interface, exchange=None):
    exchange = exchange or MemoryExchange()
    interface.serve(exchange)
    await exchange.ended()
    await interface.settle()
    return exchange


async def slowly(exchange):
    """Read part by part, to the end."""
    while exchange.state < states.FINISHED:
        await exchange.until(
            lambda: exchange._on_room is not None or exchange.state >= states.FINISHED
        )
        exchange.read()


def ok(start_response):
    return start_response("200 OK", [("Content-Type", "text/plain")])
