"""Sessions of both interfaces on every engine: from the handshake's octets to those of the Close."""

import asyncio

import pytest

from granian_d.engine.contract import Clock, Leave
from granian_d.interface.registry import load
from granian_d.plan import Limits
from tests.unit.engine.talk import BINARY, CLOSE, TEXT, close, frame, frames
from tests.unit.plan.specimens import WEBSOCKET
from tests.wire.harness import ENGINES, LIMITS, Record

from .memory import TCP, connected, context
from .test_through_engine import Wire

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
END = b"\r\n\r\n"


async def asgi(scope, receive, send):
    assert await receive() == {"type": "websocket.connect"}
    if scope["path"] == "/denied":
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b""})
        return
    if scope["path"] == "/crash":
        raise ValueError
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "crash":
            raise ValueError
        await send({**message, "type": "websocket.send"})
    scope["state"]["ends"].append(message["code"])


async def rsgi(scope, protocol):
    if scope.path == "/denied":
        protocol.close(401)
        return
    if scope.path == "/crash":
        raise ValueError
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        if message.data == "crash":
            raise ValueError
        send = transport.send_str if message.kind == 2 else transport.send_bytes
        await send(message.data)


class Connection:
    """One connection with an interface above it."""

    def __init__(self, engine, interface, high_water=None):
        self.observer = Record()
        self.serve, self.converse = interface.serve, interface.converse
        self.wire = Wire(high_water)
        limits = Limits(**LIMITS | {"websocket": WEBSOCKET})
        self._first = engine(self.wire, connected(TCP), self, limits, Clock(0.0))

    @property
    def endpoint(self):
        return self.wire.switched[-1] if self.wire.switched else self._first

    def feed(self, *pieces):
        for piece in pieces:
            self.endpoint.feed_data(piece)

    async def until(self, condition):
        while not condition():
            self.wire.news.clear()
            await self.wire.news.wait()

    async def answered(self, status):
        await self.until(lambda: END in self.wire.sent)
        assert self.wire.sent.startswith(b"HTTP/1.1 %d " % status)

    def frames(self):
        """(opcode, payload) of what has been said since the handshake."""
        said = frames(self.wire.sent.partition(END)[2])
        return [(one.opcode, one.payload) for one in said]

    async def said(self, *wanted):
        await self.until(lambda: len(self.frames()) == len(wanted))
        assert self.frames() == list(wanted)


@pytest.fixture(params=["asginl", "rsgi"])
def name(request):
    return request.param


@pytest.fixture(params=ENGINES)
def play(request, name, run):
    """Run a script over a connection; what the observer was told, and the application's ends."""

    def play(script, high_water=None):
        ends = []

        async def main():
            app = asgi if name == "asginl" else rsgi

            async def with_ends(scope, *rest):
                if name == "asginl":
                    scope["state"]["ends"] = ends
                await app(scope, *rest)

            wrapped = with_ends if name == "asginl" else app
            interface = load(name)(wrapped, context(asyncio.get_running_loop()))
            connection = Connection(ENGINES[request.param], interface, high_water)
            await script(connection)
            await interface.settle()
            await interface.shutdown()
            return connection.observer

        return run(main()), ends

    return play


def code(number):
    return (CLOSE, number.to_bytes(2, "big"))


def test_echo(play, name) -> None:
    async def script(connection):
        connection.feed(HANDSHAKE % b"/")
        await connection.answered(101)
        connection.feed(frame(TEXT, b"gr\xc3\xbc\xc3\x9f"), frame(BINARY, b"\0\xff") * 2)
        echoed = [(TEXT, b"gr\xc3\xbc\xc3\x9f"), (BINARY, b"\0\xff"), (BINARY, b"\0\xff")]
        await connection.said(*echoed)
        connection.feed(close(4000, b"bye"))
        await connection.said(*echoed, code(4000))

    observer, ends = play(script)
    assert (observer.faults, len(observer.over)) == ([], 1)
    assert ends == ([4000] if name == "asginl" else [])


@pytest.mark.parametrize(("path", "status", "faults"), [(b"/denied", 401, 0), (b"/crash", 500, 1)])
def test_refused(play, path, status, faults) -> None:
    async def script(connection):
        connection.feed(HANDSHAKE % path)
        await connection.answered(status)

    observer, _ = play(script)
    assert (len(observer.faults), len(observer.over)) == (faults, 1)


def test_a_crash(play) -> None:
    async def script(connection):
        connection.feed(HANDSHAKE % b"/")
        await connection.answered(101)
        connection.feed(frame(TEXT, b"crash"))
        await connection.said(code(1011))
        connection.feed(close(1011))

    observer, _ = play(script)
    assert (len(observer.faults), len(observer.over)) == (1, 1)


@pytest.mark.parametrize(("restarting", "number"), [(False, 1001), (True, 1012)])
def test_the_worker_leaves(play, name, restarting, number) -> None:
    async def script(connection):
        connection.feed(HANDSHAKE % b"/")
        await connection.answered(101)
        connection.endpoint.drain(Leave(0.0, 0.0, restarting))
        await connection.until(connection.frames)
        [(opcode, payload)] = connection.frames()
        assert (opcode, payload[:2]) == code(number)
        connection.feed(close(number))

    observer, ends = play(script)
    assert observer.faults == []
    assert ends == ([number] if name == "asginl" else [])


@pytest.mark.parametrize("at", ["offered", "open", "sending"])
def test_a_peer_that_is_lost(play, at) -> None:
    async def script(connection):
        connection.feed(HANDSHAKE % b"/")
        if at == "offered":
            connection.endpoint.feed_lost()
            return
        await connection.answered(101)
        if at == "sending":
            connection.feed(frame(BINARY, b"x" * 60_000) * 3)
            await connection.until(lambda: connection.wire.queued_bytes() > 50_000)
        connection.endpoint.feed_lost()

    observer, _ = play(script, high_water=50_000)
    assert (observer.faults, len(observer.over)) == ([], 1)


def test_a_slow_reader(play) -> None:
    """What comes meanwhile waits below, and nothing is lost."""

    async def script(connection):
        connection.feed(HANDSHAKE % b"/")
        await connection.answered(101)
        wire = connection.wire
        for _ in range(20):
            connection.feed(frame(BINARY, b"x" * 20_000))
        while len(connection.frames()) < 20:
            assert wire.queued_bytes() < wire.high_water + 30_000
            wire.taken = len(wire.sent)
            connection.endpoint.feed_room()
            await asyncio.sleep(0)
        connection.feed(close())
        await connection.until(lambda: connection.frames()[-1] == code(1000))

    observer, _ = play(script, high_water=30_000)
    assert observer.faults == []
