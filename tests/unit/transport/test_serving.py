"""Accept, serve, close: an acceptor, connections and an engine together, on every pairing."""

from __future__ import annotations

import asyncio

import pytest

from granian_d.engine.contract import Leave
from granian_d.transport.accept import Acceptor
from granian_d.transport.contract import Door
from granian_d.transport.deadlines import Deadlines
from tests.unit.plan.specimens import limits
from tests.unit.transport import transports
from tests.unit.transport.house import tcp_listener
from tests.wire.harness import ENGINES, Scripted, read_all, request

UPLOAD = b"0123456789abcdef" * 20_000


def echo(exchange):
    body = yield from read_all(exchange)
    exchange.start(200, [(b"content-length", b"%d" % len(body))])
    exchange.send(body, last=True)


class Served:
    """A worker without a worker: one listener, one engine, an application that echoes."""

    def __init__(self, loop, transport, engine) -> None:
        self.service = Scripted(echo)
        self.empty = asyncio.Event()
        self.failures = []
        listener = tcp_listener()
        self.address = listener.getsockname()
        self.connections = transports.make(
            transport,
            loop,
            self.service,
            limits(),
            Deadlines(loop),
            self.changed,
        )
        door = Door(listener, ENGINES[engine])
        self.acceptor = Acceptor(loop, [door], self.connections, 10, self.failures.append)
        self.acceptor.arm()

    def changed(self, count) -> None:
        self.acceptor.count_changed(count)
        (self.empty.clear if count else self.empty.set)()


async def ask(reader, writer, message: bytes) -> bytes:
    """Send a request and read the body of its answer."""
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return await reader.readexactly(length)


@pytest.mark.parametrize("engine", ENGINES)
def test_from_accept_to_close(runner, loop, transport, engine):
    async def story():
        served = Served(loop, transport, engine)
        peers = [await asyncio.open_connection(*served.address) for _ in range(5)]
        for peer in peers:
            assert await ask(*peer, request()) == b""
            assert await ask(*peer, request("POST", body=UPLOAD)) == UPLOAD
        assert len(served.connections.open) == 5
        served.connections.drain(Leave(60.0))
        served.acceptor.close()
        for reader, writer in peers:
            assert await ask(reader, writer, request("POST", body=b"last")) == b"last"
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        await served.empty.wait()
        assert len(served.service.observer.over) == 15
        assert not served.failures

    runner.run(asyncio.wait_for(story(), 30))
