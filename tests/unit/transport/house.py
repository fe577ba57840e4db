"""A listener, an acceptor and connections, with endpoints that do as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from granian_d.engine.contract import NEVER
from granian_d.transport.accept import Acceptor
from granian_d.transport.contract import Door
from granian_d.transport.deadlines import Deadlines
from tests.unit.plan import specimens
from tests.unit.transport import transports


class Endpoint:
    """What is fed is written down; what to do about data is `on_data(endpoint, data)`."""

    def __init__(self, house, wire, peer, limits, clock):
        self.house = house
        self.wire = wire
        self.peer = peer
        self.limits = limits
        self.clock = clock
        self.deadline = NEVER
        self.fed = []

    def feed_data(self, data):
        self._note("data", data)
        self.house.on_data(self, data)

    def feed_eof(self):
        self._note("eof")
        self.house.on_eof(self)

    def feed_lost(self):
        self._note("lost")

    def feed_room(self):
        self._note("room")

    def expire(self):
        self._note("expire")
        self.deadline = NEVER

    def drain(self, leave):
        self._note("drain", leave.idle_s)

    def _note(self, *what):
        self.fed.append(what)
        self.house.wake()

    @property
    def received(self) -> bytes:
        return b"".join(what[1] for what in self.fed if what[0] == "data")

    def was_fed(self, name: str) -> bool:
        return any(what[0] == name for what in self.fed)


class House:
    """The transport of a worker."""

    def __init__(
        self, loop, transport, *, on_data=None, on_eof=None, room=100, listener=None, **limits
    ):
        self.loop = loop
        self.on_data = on_data or (lambda endpoint, data: None)
        self.on_eof = on_eof or (lambda endpoint: None)
        self.endpoints: list[Endpoint] = []
        self.counts: list[int] = []
        self.failures: list[OSError] = []
        self.deadlines = Deadlines(loop)
        self.service = object()
        self.connections = transports.make(
            transport,
            loop,
            self.service,
            specimens.limits(**limits),
            self.deadlines,
            self._changed,
        )
        self.listener = listener or tcp_listener()
        self.address = self.listener.getsockname()
        self.family = self.listener.family
        self.acceptor = Acceptor(
            loop,
            [Door(self.listener, self._endpoint)],
            self.connections,
            room,
            self.failures.append,
        )
        self.clients: list[socket.socket] = []
        self._news = asyncio.Event()

    def _endpoint(self, wire, peer, service, limits, clock):
        assert service is self.service
        endpoint = Endpoint(self, wire, peer, limits, clock)
        self.endpoints.append(endpoint)
        self.wake()
        return endpoint

    def _changed(self, count):
        self.counts.append(count)
        self.acceptor.count_changed(count)
        self.wake()

    def wake(self):
        self._news.set()

    async def until(self, holds):
        """Return when `holds()`; looks whenever something was fed, made or lost."""
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def all_made(self):
        """Return when no accepted connection is half made any more."""
        while self.acceptor.starting:
            await asyncio.sleep(0)

    async def turns(self, count=5):
        """Let the loop look at its sockets that many times."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def dial(self, *, small_buffer=False) -> socket.socket:
        """A client, connected but perhaps not accepted yet."""
        sock = socket.socket(self.family)
        self.clients.append(sock)
        if small_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.setblocking(False)
        await self.loop.sock_connect(sock, self.address)
        return sock

    async def meet(self, **how) -> tuple[socket.socket, Endpoint]:
        """A client and the endpoint that was made for it."""
        self.acceptor.arm()
        before = len(self.endpoints)
        client = await self.dial(**how)
        await self.until(lambda: len(self.endpoints) > before)
        return client, self.endpoints[-1]

    async def read_all(self, client) -> bytes:
        """What the client gets until the end of the stream."""
        parts = []
        while part := await self.loop.sock_recv(client, 65536):
            parts.append(part)
        return b"".join(parts)

    async def clear(self):
        """Close what is open, on both sides."""
        await self.all_made()
        self.acceptor.disarm()
        for connection in list(self.connections.open):
            connection.abort()
        await self.until(lambda: not self.connections.open)
        for client in self.clients:
            client.close()
        with contextlib.suppress(OSError):
            self.listener.close()
        await self.turns(2)


def tcp_listener(family=socket.AF_INET) -> socket.socket:
    sock = socket.socket(family)
    sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    sock.listen(64)
    sock.setblocking(False)
    return sock


def reset(client: socket.socket) -> None:
    """Close with a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
