"""A test bench for connections: real sockets on both sides, and an endpoint that does as it is told.

The endpoint keeps what it is fed, in order. What it does about it is set by the test. Deadlines
pass by hand: `pass_time` is what the worker's timer does in that time.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from granian_d.engine.contract import NEVER, Leave
from granian_d.transport.deadlines import Deadlines
from tests.unit.plan.specimens import limits
from tests.unit.transport import transports
from tests.unit.transport.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from granian_d.engine.contract import EndpointMaker, Wire

MUCH = b"0123456789abcdef" * 64 * 1024  # 1 MiB: more than all buffers between the two ends
BLOCK = b"x" * 65536
PATIENCE_S = 20.0  # before something that should happen is given up; never a measure of it


class Endpoint:
    """Keeps what it is fed; reacts with the callables in `reactions`."""

    def __init__(self, wire, peer, service, plan, clock) -> None:
        self.wire: Wire = wire
        self.peer = peer
        self.clock = clock
        self.deadline = NEVER
        self.fed: list[tuple[Any, ...]] = []
        self.reactions: dict[str, Callable[[], None]] = {}
        self.exchanges: list[Any] = []  # that are under way
        self._news = asyncio.Event()

    def _take(self, kind: str, *what: Any) -> None:
        self.fed.append((kind, *what))
        self._news.set()
        self.reactions.get(kind, lambda: None)()

    def feed_data(self, data: bytes) -> None:
        self._take("data", bytes(data))

    def feed_eof(self) -> None:
        self._take("eof")

    def feed_lost(self) -> None:
        self._take("lost")

    def feed_room(self) -> None:
        self._take("room")

    def expire(self) -> None:
        self._take("expire")

    def drain(self, leave: Leave) -> None:
        self._take("drain", leave.idle_s)

    def under_way(self, found: list[Any]) -> None:
        found += self.exchanges

    def reset(self, exchange: Any) -> None:
        self._take("reset", exchange)

    @property
    def kinds(self) -> list[str]:
        """What it was fed, runs of data as one."""
        kinds = [kind for kind, *_ in self.fed]
        return [k for i, k in enumerate(kinds) if k != "data" or kinds[i - 1 : i] != ["data"]]

    @property
    def data(self) -> bytes:
        return b"".join(what[0] for kind, *what in self.fed if kind == "data")

    async def until(self, kind: str) -> None:
        """Wait until it has been fed that."""
        while not Counter(kind for kind, *_ in self.fed)[kind]:
            self._news.clear()
            await self._news.wait()

    async def until_received(self, count: int) -> None:
        while len(self.data) < count:
            self._news.clear()
            await self._news.wait()


class Bench:
    """Connections on a loop, and their peers.

    Attributes:
        reports: what the loop was told of faults; a test that expects some takes them out.
    """

    def __init__(self, runner: asyncio.Runner, transport: str) -> None:
        self._runner = runner
        self._transport = transport
        self.loop = runner.get_loop()
        self.reports: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self._ticks = Ticks()
        self._deadlines = Deadlines(self._ticks)
        self.counts: list[int] = []
        self.endpoints: list[Endpoint] = []
        self.prepare: Callable[[Endpoint], None] = lambda _: None
        self.changed: Callable[[int], None] = lambda _: None
        self.connections = self.make_connections()
        self.maker: EndpointMaker = self._make_endpoint
        self._open: list[Any] = []

    def make_connections(self, **changes: Any) -> Any:
        return transports.make(
            self._transport,
            self.loop,
            None,
            limits(**changes),
            self._deadlines,
            self._count_changed,
        )

    def limit(self, **changes: Any) -> None:
        """Other limits, for the connections to come."""
        self.connections = self.make_connections(**changes)

    def pass_time(self, seconds: float) -> None:
        """What the timer does in that time, tick by tick."""
        self._ticks.pass_time(seconds)

    @property
    def ticks_on(self) -> bool:
        """The timer still waits for somebody."""
        return bool(self._ticks.calls)

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(PATIENCE_S):
                return await what

        return self._runner.run(bounded())

    def close(self) -> None:
        """End what the test left, and the loop's work on it."""
        for thing in self._open:
            thing.close()

        async def end() -> None:
            while self.endpoints and not all("lost" in e.kinds for e in self.endpoints):
                for endpoint in self.endpoints:
                    endpoint.wire.abort()
                await asyncio.sleep(0)

        self.run(end())
        assert not self.reports, self.reports

    def keep(self, thing: Any) -> Any:
        """Have it closed at the end of the test."""
        self._open.append(thing)
        return thing

    def listener(self, address: Any = ("127.0.0.1", 0), *, kind: Any = socket.socket) -> Any:
        """A listening, non-blocking socket."""
        family = socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET
        if family == socket.AF_INET and ":" in address[0]:
            family = socket.AF_INET6
        sock = self.keep(kind(family))
        sock.bind(address)
        sock.listen()
        sock.setblocking(False)
        return sock

    def client(self, listener: socket.socket) -> socket.socket:
        """A peer, connected by the kernel and still in the queue."""
        sock = self.keep(socket.socket(listener.family))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(listener.getsockname())
        sock.setblocking(False)
        return sock

    async def connect(
        self, address: Any = ("127.0.0.1", 0), *, send_buffer: int = 4096
    ) -> tuple[socket.socket, Endpoint]:
        """A connection: its peer's socket, and the endpoint on our side."""
        listener = self.listener(address)
        client = self.client(listener)
        sock, _ = listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        await self.take(sock)
        return client, self.endpoints[-1]

    async def take(self, sock: socket.socket) -> None:
        """Make a connection of an accepted socket."""
        making = self.connections.take(sock, self.loop, self.maker)
        if making is not None:
            await making

    async def send(self, client: socket.socket, data: bytes) -> None:
        await self.loop.sock_sendall(client, data)

    async def receive(self, client: socket.socket, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = await self.loop.sock_recv(client, min(count - len(data), 1 << 16))
            assert part, f"closed after {len(data)} of {count} bytes"
            data += part
        return bytes(data)

    async def receive_all(self, client: socket.socket) -> bytes:
        """What the peer reads until the end of the stream."""
        data = bytearray()
        while part := await self.loop.sock_recv(client, 1 << 16):
            data += part
        return bytes(data)

    async def settle(self) -> None:
        """Let the loop do all that it could do by now: another connection goes to and fro.

        What is ready is handled turn by turn, so after a few rounds nothing old is left over.
        """
        one, other = socket.socketpair()
        with one, other:
            arrived = asyncio.Event()
            self.loop.add_reader(other, arrived.set)
            for _ in range(5):
                one.send(b".")
                await arrived.wait()
                other.recv(1)
                arrived.clear()
            self.loop.remove_reader(other)

    def _make_endpoint(self, *arguments: Any) -> Endpoint:
        endpoint = Endpoint(*arguments)
        self.endpoints.append(endpoint)
        self.prepare(endpoint)
        return endpoint

    def _count_changed(self, count: int) -> None:
        self.counts.append(count)
        self.changed(count)


def fill(endpoint) -> int:
    """Write until the wire has no room; how much was written."""
    written = len(BLOCK)
    while endpoint.wire.write(BLOCK):
        written += len(BLOCK)
    return written
