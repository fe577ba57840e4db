"""The threads: order, number, idleness, end."""

import asyncio
import contextlib
import threading
import weakref
from array import array

import pytest

from granian_d.errors import Disconnected
from granian_d.interface.registry import load
from granian_d.interface.wsgi.account import Account
from granian_d.interface.wsgi.pool import Pool

from .memory import MemoryExchange, context


class Gate:
    """A job that stays in its thread until it is opened."""

    def __init__(self):
        self.entered = threading.Event()
        self.open = threading.Event()
        self.thread = None

    def __call__(self):
        self.thread = threading.current_thread()
        self.entered.set()
        assert self.open.wait(10)


@contextlib.asynccontextmanager
async def pool_of(most, idle_timeout_s=30.0, account=None):
    pool = Pool(most, idle_timeout_s, asyncio.get_running_loop(), account)
    yield pool
    await pool.close()
    assert len(pool) == 0


def test_grows_on_demand_up_to_its_bound(run) -> None:
    async def main():
        async with pool_of(3) as pool:
            gates = [Gate() for _ in range(5)]
            for number, gate in enumerate(gates):
                pool.submit(gate)
                assert len(pool) == min(number + 1, 3)
            for gate in gates[:3]:
                assert gate.entered.wait(10)
            assert not any(gate.entered.is_set() for gate in gates[3:])
            for gate in gates:
                gate.open.set()
            await pool.settle()
            assert all(gate.entered.is_set() for gate in gates)
            assert len(pool) == 3
            assert {gate.thread.name for gate in gates} == {"wsgi-1", "wsgi-2", "wsgi-3"}

    run(main())


def test_jobs_begin_in_order(run) -> None:
    async def main():
        async with pool_of(1) as pool:
            order = []
            for number in range(50):
                pool.submit(lambda number=number: order.append(number))
            await pool.settle()
            assert order == list(range(50))

    run(main())


def test_an_idle_thread_is_used_again(run) -> None:
    async def main():
        async with pool_of(9) as pool:
            threads = set()
            for _ in range(20):
                pool.submit(lambda: threads.add(threading.current_thread()))
                await pool.settle()
            assert len(threads) == 1

    run(main())


def test_the_warmest_thread_is_used_first(run) -> None:
    async def main():
        async with pool_of(2) as pool:
            first, second = Gate(), Gate()
            pool.submit(first)
            pool.submit(second)
            first.open.set()
            while pool._idle != [first.thread]:
                await asyncio.to_thread(lambda: None)
            second.open.set()
            await pool.settle()
            used = []
            pool.submit(lambda: used.append(threading.current_thread()))
            await pool.settle()
            assert used == [second.thread]

    run(main())


def test_an_idle_thread_ends(run) -> None:
    async def main():
        async with pool_of(4, idle_timeout_s=0.001) as pool:
            gates = [Gate() for _ in range(4)]
            for gate in gates:
                pool.submit(gate)
            for gate in gates:
                gate.open.set()
            for gate in gates:
                assert gate.entered.wait(10)
                gate.thread.join(10)
                assert not gate.thread.is_alive()
            assert len(pool) == 0
            done = []
            pool.submit(lambda: done.append(True))
            await pool.settle()
            assert done

    run(main())


def test_many_jobs_over_a_tiny_timeout(run) -> None:
    """Threads that come of age just when they are chosen must not lose their job."""

    async def main():
        async with pool_of(3, idle_timeout_s=0.0001) as pool:
            done = []
            for number in range(2000):
                pool.submit(lambda number=number: done.append(number))
                if number % 7 == 0:
                    await asyncio.sleep(0)
            await pool.settle()
            assert sorted(done) == list(range(2000))

    run(main())


def test_close_waits_for_what_is_under_way(run) -> None:
    async def main():
        pool = Pool(1, 30.0, asyncio.get_running_loop())
        gate, done = Gate(), []
        pool.submit(gate)
        pool.submit(lambda: done.append(True))
        closing = asyncio.ensure_future(pool.close())
        await asyncio.sleep(0)
        assert not closing.done()
        gate.open.set()
        await closing
        assert done == [True]
        assert not gate.thread.is_alive()

    run(main())


def test_settle_can_be_given_up(run) -> None:
    async def main():
        async with pool_of(1) as pool:
            gate = Gate()
            pool.submit(gate)
            waiting = asyncio.ensure_future(pool.settle())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            gate.open.set()
            await pool.settle()

    run(main())


def test_an_idle_thread_holds_nothing_of_its_request(run) -> None:
    class Thing:
        pass

    def app(environ, start_response):
        environ["thing"] = thing = Thing()
        things.append(weakref.ref(thing))
        start_response("200 OK", [])
        return [b"x"]

    things = []

    async def main():
        interface = load("wsgi")(app, context(asyncio.get_running_loop()))
        exchange = MemoryExchange()
        interface.serve(exchange)
        await exchange.ended()
        await interface.settle()
        assert len(interface._pool) == 1
        assert things[0]() is None
        await interface.shutdown()

    run(main())


def test_requests_in_parallel(run) -> None:
    barrier = threading.Barrier(4)

    def app(environ, start_response):
        barrier.wait(10)
        start_response("200 OK", [])
        return [b"x"]

    async def main():
        interface = load("wsgi")(app, context(asyncio.get_running_loop(), blocking_threads=4))
        exchanges = [MemoryExchange() for _ in range(8)]
        for exchange in exchanges:
            interface.serve(exchange)
        for exchange in exchanges:
            await exchange.ended()
            assert (exchange.body, exchange.crashes) == (b"x", [])
        await interface.shutdown()

    run(main())


@pytest.mark.parametrize("streamed", [True, False])
def test_a_thread_that_outlives_the_loop(streamed) -> None:
    """A stuck thread is left behind; when it goes on, nobody is there, and it ends in peace."""
    gate, raised = Gate(), []

    def app(environ, start_response):
        gate()
        write = start_response("200 OK", [])
        if streamed:
            try:
                write(b"x")
            except OSError as error:
                raised.append(error)
                raise
        return [b"x"]

    loop = asyncio.new_event_loop()
    interface = load("wsgi")(app, context(loop))
    interface.serve(MemoryExchange())
    assert gate.entered.wait(10)
    loop.close()
    (thread,) = interface._pool._threads
    gate.open.set()
    interface._pool._closing = True
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [Disconnected] * streamed


def test_it_tells_how_it_fares(run) -> None:
    words = memoryview(array("Q", [0] * 5))

    def told() -> dict[str, int]:
        names = ("threads", "queue", "idle_ns", "busy_ns", "wait_ns")
        return dict(zip(names, words, strict=True))

    async def main():
        async with pool_of(1, account=Account(words)) as pool:
            gates = [Gate() for _ in range(3)]
            for gate in gates:
                pool.submit(gate)
            assert gates[0].entered.wait(10)
            assert told() == {"threads": 1, "queue": 2, "idle_ns": 0, "busy_ns": 0, "wait_ns": 0}
            gates[0].open.set()
            assert gates[1].entered.wait(10)
            first = told()
            assert (first["queue"], first["idle_ns"]) == (1, 0)
            assert first["busy_ns"] > 0
            for gate in gates:
                gate.open.set()
            await pool.settle()
            done = told()
            assert (done["queue"], done["idle_ns"]) == (0, 0)
            assert done["busy_ns"] > first["busy_ns"]
            assert done["wait_ns"] > first["wait_ns"], "the others have waited for the first"
            gate = Gate()
            gate.open.set()
            pool.submit(gate)
            await pool.settle()
            assert told()["idle_ns"] > 0
        assert told()["threads"] == 0

    run(main())
