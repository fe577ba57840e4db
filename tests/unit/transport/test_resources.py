"""Descriptors, memory, forks: what a connection takes it gives back, once."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import os
import resource
import socket
import weakref

import pytest

from granian_d.engine.contract import Leave
from tests.unit.transport.bench import Bench
from tests.unit.transport.conftest import LOOPS
from tests.unit.transport.house import House, reset

ONLY_DIRECT = pytest.mark.parametrize("transport", ["direct"], indirect=True)
MANY = 2000
CLASSES = ("DirectConnection", "StreamConnection")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def watched() -> int:
    """Descriptors in all epolls of this process."""
    count = 0
    for fd in os.listdir("/proc/self/fdinfo"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/fdinfo/{fd}") as info:
            count += sum(line.startswith("tfd:") for line in info)
    return count


def alive() -> int:
    """Connections in the memory of this process."""
    return sum(type(thing).__name__ in CLASSES for thing in gc.get_objects())


@contextlib.contextmanager
def forked(fork):
    """A child that does nothing but hold what it has inherited."""
    ours, childs = socket.socketpair()
    with ours:
        pid = fork()
        if pid == 0:
            try:
                ours.close()
                childs.send(b"here")
                childs.recv(1)
            finally:
                os._exit(0)
        childs.close()
        assert ours.recv(4) == b"here"
        try:
            yield
        finally:
            ours.close()
            os.waitpid(pid, 0)


def c_fork() -> int:
    """fork(2) by a C library: no hook of Python's runs."""
    return ctypes.PyDLL(None).fork()


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MANY + 200
    if soft < wanted > hard:
        pytest.skip(f"needs {wanted} descriptors: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_connections_come_and_go(run, many_descriptors):
    async def story(house):
        reset((await house.meet())[0])  # a loop takes some descriptors for itself, and keeps them
        await house.until(lambda: not house.connections.open)
        gc.collect()
        before = descriptors(), watched()
        for _ in range(MANY):
            await house.meet()
        assert len(house.connections.open) == MANY
        for number, client in enumerate(house.clients[1:]):
            if number % 3 == 0:
                client.close()
            elif number % 3 == 1:
                reset(client)
            else:
                client.send(b"close, please")
        await house.until(lambda: not house.connections.open)
        for client in house.clients:
            client.close()
        await house.turns()
        assert (descriptors(), watched()) == before
        assert all([*map(list, e.fed)].count(["lost"]) == 1 for e in house.endpoints)
        assert max(house.counts) == MANY
        assert house.counts[-1] == 0
        house.endpoints.clear()
        gc.collect()
        assert alive() == 0

    run(
        story,
        room=MANY + 1,
        on_data=lambda endpoint, _: endpoint.wire.abort(),
        on_eof=lambda endpoint: endpoint.wire.finish(),
    )


@ONLY_DIRECT
def test_a_lost_connection_needs_no_garbage_collector(run):
    """Thousands of short connections a second are not to be left to it."""

    async def story(house):
        gc.collect()
        gc.disable()
        try:
            client = (await house.meet())[0]
            known = weakref.ref(house.endpoints[-1])
            client.send(b"x")
            await house.read_all(client)
            client.close()
            await house.until(lambda: not house.connections.open)
            await house.turns()
            house.endpoints.clear()
            assert known() is None
            assert alive() == 0
        finally:
            gc.enable()

    run(story, on_data=lambda endpoint, _: endpoint.wire.finish())


@ONLY_DIRECT
def test_descriptors_are_closed_once(bench):
    """A number that is closed again may be somebody else's by then."""

    async def scenario():
        client, endpoint = await bench.connect()
        reset(client)
        await endpoint.until("lost")
        with contextlib.ExitStack() as files:
            taken = [files.enter_context(open(os.devnull)) for _ in range(10)]
            endpoint.wire.abort()
            endpoint.wire.finish()
            bench.connections.drain(Leave(0.0))
            await bench.settle()
            del endpoint
            bench.endpoints.clear()
            gc.collect()
            for file in taken:
                os.fstat(file.fileno())

    bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("open_ones", [0, 1])
def test_a_closed_loop_keeps_no_descriptor(transport, factory, open_ones):
    """Nobody closes the epoll by itself; the loop goes first, with or without connections."""
    gc.collect()
    before = descriptors()

    async def story() -> None:
        house = House(asyncio.get_running_loop(), transport)
        for _ in range(open_ones):
            client, _ = await house.meet()
            client.send(b"x")
            await house.until(lambda: house.endpoints[-1].received)
        house.acceptor.disarm()
        house.listener.close()
        for client in house.clients:
            client.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(story())
    del runner
    gc.collect()
    assert descriptors() == before
    assert alive() == 0


@ONLY_DIRECT
@pytest.mark.parametrize("fork", [os.fork, c_fork], ids=["python", "c"])
def test_a_child_of_the_application_keeps_no_closed_socket_in_the_epoll(bench, fork):
    """Close(2) takes a descriptor out of an epoll only when it was the last one of its file."""

    async def scenario():
        client, endpoint = await bench.connect()
        before = watched()
        with forked(fork):
            endpoint.wire.abort()
            assert watched() == before - 1
            with contextlib.suppress(OSError):
                client.send(b"to nobody")
            await endpoint.until("lost")

    bench.run(scenario())


@ONLY_DIRECT
def test_a_child_of_the_application_does_not_hold_connections_open(bench):
    async def scenario():
        client, endpoint = await bench.connect()
        other, survivor = await bench.connect()
        with forked(os.fork):
            endpoint.wire.write(b"half an ans")
            endpoint.wire.abort()
            with pytest.raises(ConnectionResetError):
                await bench.receive_all(client)
            await bench.send(other, b"ping")  # the parent's epoll has lost nothing by the fork
            await survivor.until("data")
            survivor.wire.write(b"pong")
            assert await bench.receive(other, 4) == b"pong"

    bench.run(scenario())


@ONLY_DIRECT
def test_nothing_of_it_can_be_made_by_hand(transport):
    """An object without a socket of its own must not close somebody else's."""
    kind = importlib.import_module("granian_d.transport.connection").DirectConnection
    with pytest.raises(TypeError):
        kind()
    os.fstat(0)
    wire = kind.__new__(kind)
    for order in (wire.pause, wire.resume, wire.finish, wire.abort, wire.queued_bytes):
        order()
    assert not wire.write(b"x")
    del wire
    os.fstat(0)


def test_the_number_of_open_connections_is_true_when_it_is_told(bench):
    async def scenario():
        told = []
        bench.changed = lambda count: told.append((count, len(bench.connections.open)))
        clients = [(await bench.connect())[0] for _ in range(3)]
        for client in clients:
            reset(client)
        for endpoint in bench.endpoints:
            await endpoint.until("lost")
        assert told == [(1, 1), (2, 2), (3, 3), (2, 2), (1, 1), (0, 0)]

    bench.run(scenario())


def test_a_bench_reports_what_the_loop_is_told(transport):
    """The guard of all other tests here."""
    with asyncio.Runner() as runner:
        bench = Bench(runner, transport)
        bench.loop.call_exception_handler({"message": "told"})
        with pytest.raises(AssertionError):
            bench.close()
