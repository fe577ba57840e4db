"""What is written arrives, whole and in order, however little of it the socket takes at once."""

from __future__ import annotations

import random
import socket

import pytest

from granian_d.engine.choose import is_compiled
from granian_d.transport.deadlines import Deadlines
from tests.unit.plan.specimens import limits
from tests.unit.transport import transports
from tests.wire.harness import ENGINES, Scripted, request

STREAM = random.Random(0).randbytes(1 << 20)
SIZES = (1, 100, 4_000, 20_000, 65_535, 65_536, 65_537, 200_000)


@pytest.mark.parametrize("seed", range(5))
def test_writes_of_all_sizes_from_inside_and_outside(bench, seed):
    dice = random.Random(seed)

    async def scenario():
        client, endpoint = await bench.connect()
        written, received = 0, bytearray()

        def write_some() -> None:
            nonlocal written
            for _ in range(dice.randrange(4)):
                part = STREAM[written : written + dice.choice(SIZES)]
                written += len(part)
                if part:
                    endpoint.wire.write(part)

        endpoint.reactions["data"] = endpoint.reactions["room"] = write_some
        while written < len(STREAM):
            if dice.random() < 0.5:
                write_some()
            else:
                await bench.send(client, b".")
                await bench.settle()
            if written > len(received):
                received += await bench.loop.sock_recv(client, dice.choice(SIZES))
        endpoint.reactions.clear()
        endpoint.wire.finish()
        received += await bench.receive_all(client)
        assert bytes(received) == STREAM

    bench.run(scenario())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_queue_after_a_queue(bench, tmp_path, kind):
    """Between two great answers there is a small one, for which no room has to be waited for."""

    async def scenario():
        address = ("127.0.0.1", 0) if kind == "tcp" else f"{tmp_path}/s"
        client, endpoint = await bench.connect(address)
        for size in (len(STREAM), 10, len(STREAM), 10, 10, len(STREAM)):
            part = STREAM[:size]
            endpoint.reactions["data"] = lambda part=part: endpoint.wire.write(part)
            await bench.send(client, b"x")
            assert await bench.receive(client, size) == part
            await bench.settle()

    bench.run(scenario())


def test_a_queue_of_many_small_parts(bench):
    """More than go out in one turn, although the socket would take them."""

    async def scenario():
        client, endpoint = await bench.connect(send_buffer=1 << 19)
        written = 0
        while not endpoint.wire.queued_bytes():
            endpoint.wire.write(STREAM)
            written += len(STREAM)
        for start in range(0, len(STREAM), 100):
            endpoint.wire.write(STREAM[start : start + 100])
        assert await bench.receive(client, written) == STREAM * (written // len(STREAM))
        assert await bench.receive(client, len(STREAM)) == STREAM
        assert endpoint.wire.queued_bytes() == 0

    bench.run(scenario())


def test_an_empty_write_is_nothing(bench):
    async def scenario():
        client, endpoint = await bench.connect()
        endpoint.reactions["data"] = lambda: endpoint.wire.write(b"")
        assert endpoint.wire.write(b"")
        await bench.send(client, b"x")
        await endpoint.until("data")
        while endpoint.wire.write(STREAM):
            pass
        queued = endpoint.wire.queued_bytes()
        endpoint.wire.write(b"")
        assert endpoint.wire.queued_bytes() == queued

    bench.run(scenario())


def test_a_finish_in_the_feed_comes_after_what_was_written_in_it(bench):
    async def scenario():
        client, endpoint = await bench.connect()

        def answer() -> None:
            for start in range(0, len(STREAM), 30_000):
                endpoint.wire.write(STREAM[start : start + 30_000])
            endpoint.wire.finish()
            assert endpoint.wire.queued_bytes() > 0

        endpoint.reactions["data"] = answer
        await bench.send(client, b"x")
        assert await bench.receive_all(client) == STREAM

    bench.run(scenario())


def test_the_queue_is_counted_also_while_it_is_put_together(bench):
    async def scenario():
        client, endpoint = await bench.connect()
        counts = []

        def answer() -> None:
            while endpoint.wire.write(STREAM[:1000]):
                pass
            before = endpoint.wire.queued_bytes()
            endpoint.wire.write(STREAM[:1000])
            counts.append(endpoint.wire.queued_bytes() - before)

        endpoint.reactions["data"] = answer
        await bench.send(client, b"x")
        await endpoint.until("data")
        assert counts == [1000]

    bench.run(scenario())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("head", [10, 60_000])
@pytest.mark.parametrize("body", [0, 10, 65_536, 65_537, 400_000])
def test_heads_and_bodies_that_the_socket_takes_in_parts(bench, transport, engine, head, body):
    """A head and a body leave in one call; it may end in the middle of either."""
    assert is_compiled() or engine == "pure"
    value, content = STREAM[:head].hex().encode()[:head], STREAM[:body]

    def app(exchange):
        exchange.start(200, [(b"x-value", value), (b"content-length", b"%d" % body)])
        exchange.send(content, last=True)
        yield from ()

    connections = transports.make(
        transport,
        bench.loop,
        Scripted(app),
        limits(),
        Deadlines(bench.loop),
        bench.counts.append,
    )

    async def scenario():
        bench.connections = connections
        bench.maker = ENGINES[engine]
        listener = bench.listener()
        client = bench.client(listener)
        sock, _ = listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await bench.take(sock)
        await bench.send(client, request() * 2 + request(fields=["Connection: close"]))
        await bench.settle()
        answers = await bench.receive_all(client)
        for _ in range(3):
            assert answers.startswith(b"HTTP/1.1 200 ")
            fields, _, answers = answers.partition(b"\r\n\r\n")
            assert b"\r\nx-value: " + value + b"\r\n" in fields + b"\r\n"
            assert answers.startswith(content)
            answers = answers[body:]
        assert answers == b""
        client.close()
        while connections.open:
            await bench.settle()

    bench.run(scenario())
