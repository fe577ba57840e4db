"""Faults that are not the peer's: of an endpoint, of the engine, of the kernel's good will."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest

from granian_d.engine.choose import is_compiled
from granian_d.engine.contract import Leave
from granian_d.transport.deadlines import TICK_S, Deadlines
from tests.unit.plan.specimens import limits
from tests.unit.transport import transports
from tests.unit.transport.house import reset
from tests.wire.harness import ENGINES, Scripted, request

ONLY_DIRECT = pytest.mark.parametrize("transport", ["direct"], indirect=True)
BLOCK = b"x" * 65536


class Fault(Exception):
    """A mistake of an engine."""


def fail() -> None:
    raise Fault


def faults_of(bench) -> list[type]:
    """What was reported, which is then no surprise any more."""
    reports, bench.reports[:] = list(bench.reports), ()
    return [type(report["exception"]) for report in reports]


async def proves_alive(bench, client, endpoint) -> None:
    """The connection works in both directions."""
    await bench.send(client, b"ping")
    await endpoint.until("data")
    endpoint.wire.write(b"pong")
    assert await bench.receive(client, 4) == b"pong"


async def until_gone(bench, client) -> None:
    """Read until the connection is gone, with or without a RST."""
    with contextlib.suppress(ConnectionResetError):
        await bench.receive_all(client)


@pytest.mark.parametrize("occasion", ["data", "eof"])
def test_a_fault_about_input_costs_its_connection_and_no_other(bench, occasion):
    async def scenario():
        client, endpoint = await bench.connect()
        other = await bench.connect()
        endpoint.reactions[occasion] = fail
        if occasion == "data":
            await bench.send(client, b"x")
        else:
            client.shutdown(socket.SHUT_WR)
        await endpoint.until("lost")
        assert endpoint.kinds == [occasion, "lost"]
        assert faults_of(bench) == [Fault]
        await until_gone(bench, client)
        await proves_alive(bench, *other)

    bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.parametrize("occasion", ["room", "expire", "drain"])
def test_a_fault_about_anything_costs_its_connection_and_no_other(bench, occasion):
    async def scenario():
        (client, endpoint), other = await bench.connect(), await bench.connect()
        endpoint.reactions[occasion] = fail
        if occasion == "room":
            while endpoint.wire.write(BLOCK):
                pass
            await until_gone(bench, client)
        elif occasion == "expire":
            endpoint.deadline = endpoint.clock.now
            bench.pass_time(2 * TICK_S)
        else:
            bench.connections.drain(Leave(1.0))
            assert other[1].kinds == ["drain"]
        await endpoint.until("lost")
        assert endpoint.kinds == [occasion, "lost"]
        assert faults_of(bench) == [Fault]
        await proves_alive(bench, *other)

    bench.run(scenario())


@ONLY_DIRECT
def test_a_deadline_that_cannot_be_read_costs_its_connection_and_no_other(bench):
    async def scenario():
        (_, endpoint), (_, other) = await bench.connect(), await bench.connect()
        other.deadline = endpoint.clock.now
        other.reactions["expire"] = other.wire.finish
        del endpoint.deadline
        bench.pass_time(2 * TICK_S)
        await endpoint.until("lost")
        assert faults_of(bench) == [AttributeError]
        assert other.kinds == ["expire"]

    bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.parametrize("first", [True, False])
def test_an_engine_that_makes_no_endpoint_leaves_no_connection(bench, first):
    async def scenario():
        if not first:
            await bench.connect()
        counted = list(bench.counts)
        bench.prepare = lambda _: fail()
        listener = bench.listener()
        client = bench.client(listener)
        sock, _ = listener.accept()
        await bench.take(sock)
        del bench.endpoints[len(counted) :]
        assert faults_of(bench) == [Fault]
        await until_gone(bench, client)
        await bench.settle()
        bench.connections.drain(Leave(1.0))
        bench.pass_time(100.0)
        assert len(bench.connections.open) == len(counted)
        assert bench.counts == counted
        assert bench.ticks_on != first

    bench.run(scenario())


class Unwatchable(socket.socket):
    """A socket whose descriptor becomes that of a file, which no epoll takes (EPERM)."""

    def detach(self) -> int:
        fd = super().detach()
        file = os.open(__file__, os.O_RDONLY)
        os.dup2(file, fd)
        os.close(file)
        return fd


@ONLY_DIRECT
def test_a_socket_that_cannot_be_watched_is_lost_at_once(bench):
    async def scenario():
        listener = bench.listener()
        client = bench.client(listener)
        sock = Unwatchable(fileno=listener.accept()[0].detach())
        await bench.take(sock)
        await until_gone(bench, client)
        (endpoint,) = bench.endpoints
        await endpoint.until("lost")
        assert endpoint.kinds == ["lost"]
        assert faults_of(bench) == [PermissionError]
        assert bench.counts == [1, 0]

    bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.parametrize("order", ["abort", "finish"])
def test_an_endpoint_may_end_its_connection_while_it_is_made(bench, order):
    async def scenario():
        bench.prepare = lambda endpoint: getattr(endpoint.wire, order)()
        client, endpoint = await bench.connect()
        await until_gone(bench, client)
        client.close()
        await endpoint.until("lost")
        assert endpoint.kinds == ["lost"]
        assert bench.counts == [1, 0]

    bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.parametrize("when", ["made", "lost"])
def test_a_callback_that_fails_keeps_nobody_from_hearing_of_a_loss(bench, when):
    async def scenario():
        if when == "lost":
            client, endpoint = await bench.connect()
        bench.changed = lambda _: fail()
        if when == "lost":
            reset(client)
        else:
            client, endpoint = await bench.connect()
        await endpoint.until("lost")
        bench.changed = lambda _: None
        assert set(faults_of(bench)) == {Fault}
        assert not bench.connections.open

    bench.run(scenario())


@ONLY_DIRECT
def test_a_peer_that_is_gone_before_it_is_taken_is_no_connection(bench):
    async def scenario():
        listener = bench.listener()
        client = bench.client(listener)
        sock, _ = listener.accept()
        reset(client)
        await bench.take(sock)
        assert sock.fileno() == -1
        assert (bench.endpoints, bench.counts) == ([], [])

    bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_order_to_leave_ends_the_loop(bench, error):
    """As everything that runs in a loop does it."""

    def leave() -> None:
        raise error

    async def scenario():
        client, endpoint = await bench.connect()
        endpoint.reactions["data"] = leave
        await bench.send(client, b"x")
        await endpoint.until("lost")

    with pytest.raises(error):
        bench.run(scenario())


@ONLY_DIRECT
@pytest.mark.skipif(not is_compiled(), reason="the native engine writes a head and a body at once")
def test_a_broken_pipe_is_no_signal(bench, tmp_path):
    """Applications are known to take back what the interpreter has set for SIGPIPE."""
    body = b"x" * 100_000

    def app(exchange):
        yield exchange.when_readable
        exchange.start(200, [])
        exchange.send(body, last=True)

    service = Scripted(app)
    bench.maker = ENGINES["native"]
    bench.connections = transports.make(
        "direct",
        bench.loop,
        service,
        limits(),
        Deadlines(bench.loop),
        bench.counts.append,
    )

    async def scenario():
        listener = bench.listener(f"{tmp_path}/s")
        client = bench.client(listener)
        await bench.take(listener.accept()[0])
        await bench.send(client, request("POST", fields=["Content-Length: 10"]))
        await bench.settle()
        client.send(b"0123456789")
        client.close()
        while bench.connections.open:
            await bench.settle()
        assert service.observer.over[0].sent_bytes == len(body)

    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        bench.run(scenario())
    finally:
        signal.signal(signal.SIGPIPE, before)
