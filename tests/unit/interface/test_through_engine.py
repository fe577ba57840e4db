"""The interfaces on every HTTP/1.1 engine: what reaches the wire."""

import asyncio

import pytest

from granian_d.engine.contract import Clock
from granian_d.interface.registry import load
from granian_d.plan import Limits
from tests.wire.harness import ENGINES, LIMITS, FakeWire, Record

from .memory import TCP, connected, context

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire(FakeWire):
    """A wire one can wait for."""

    def __init__(self, high_water=None):
        super().__init__(high_water)
        self.news = asyncio.Event()

    def write(self, data):
        self.news.set()
        return super().write(data)

    def _end(self, fate):
        self.news.set()
        super()._end(fate)


class Connection:
    """One connection with an interface above it."""

    def __init__(self, engine, interface, high_water=None):
        self.observer = Record()
        self.serve = interface.serve
        self.wire = Wire(high_water)
        self.endpoint = engine(self.wire, connected(TCP), self, Limits(**LIMITS), Clock(0.0))
        self.feed = self.endpoint.feed_data

    async def until(self, condition):
        while not condition(self.wire):
            self.wire.news.clear()
            await self.wire.news.wait()

    async def sent(self, tail):
        await self.until(lambda wire: wire.sent.endswith(tail))
        return self.wire.sent


async def asgi(scope, receive, send):
    path = scope["path"]
    if path == "/crash":
        await send({"type": "http.response.start", "status": 200})
        raise ValueError
    if path == "/missing":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": "/nonexistent"})
        return
    if path == "/echo":
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            body = message.get("body", b"")
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})
        return
    if path == "/slow":
        await asyncio.sleep(0)
    if path == "/long":
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": path.encode() + b"."})


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/crash":
        start_response("200 OK", [])
        raise ValueError
    start_response("200 OK", [])
    if path == "/missing":
        return environ["wsgi.file_wrapper"](open("/nonexistent", "rb"))
    if path == "/echo":
        body = environ["wsgi.input"]
        return iter(lambda: body.read(10_000), b"")
    if path == "/long":
        return (part for part in [b"x" * 10_000] * 100 + [b"end"])
    return [path.encode() + b"."]


async def rsgi(scope, protocol):
    path = scope.path
    if path == "/crash":
        transport = protocol.response_stream()
        raise ValueError(transport)
    if path == "/missing":
        raise FileNotFoundError
    if path == "/echo":
        transport = protocol.response_stream()
        async for part in protocol:
            await transport.send_bytes(part)
        return
    if path == "/long":
        transport = protocol.response_stream()
        for part in [b"x" * 10_000] * 100 + [b"end"]:
            await transport.send_bytes(part)
        return
    protocol.response_str(200, [], path + ".")


APPS = {"asginl": asgi, "wsgi": wsgi, "rsgi": rsgi}


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param]


@pytest.fixture(params=list(APPS))
def play(request, engine, run):
    """Run a script over a connection to one of the applications; the observer's faults."""

    def play(script, high_water=None):
        async def main():
            interface = load(request.param)(
                APPS[request.param], context(asyncio.get_running_loop())
            )
            connection = Connection(engine, interface, high_water)
            await script(connection)
            await interface.settle()
            await interface.shutdown()
            return connection

        return run(main())

    return play


def test_a_plain_request(play) -> None:
    async def script(connection):
        connection.feed(GET % b"/a%20b")
        sent = await connection.sent(b"/a b.")
        assert b"content-length: 5\r\n" in sent
        assert len(connection.wire.writes) == 1  # head and body leave together

    connection = play(script)
    assert connection.observer.faults == []
    assert len(connection.observer.over) == 1


def test_pipelined_requests_are_answered_in_order(play) -> None:
    async def script(connection):
        connection.feed(b"".join(GET % (b"/n%d" % number) for number in range(50)))
        sent = await connection.sent(b"/n49.")
        positions = [sent.index(b"/n%d." % number) for number in range(50)]
        assert positions == sorted(positions)

    assert len(play(script).observer.over) == 50


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_echo_of_a_chunked_body(play, size) -> None:
    async def script(connection):
        connection.feed(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, size, 10_000):
            part = b"y" * min(10_000, size - start)
            connection.feed(b"%x\r\n%b\r\n" % (len(part), part))
            await asyncio.sleep(0)
        connection.feed(b"0\r\n\r\n" + GET % b"/next")
        sent = await connection.sent(b"/next.")
        assert sent.count(b"y") == size

    assert play(script).observer.faults == []


def test_expect_continue(play) -> None:
    async def script(connection):
        connection.feed(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        await connection.until(lambda wire: wire.sent.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"))
        connection.feed(b"hello" + GET % b"/next")
        assert b"hello" in await connection.sent(b"/next.")

    play(script)


def test_a_slow_reader(play) -> None:
    async def script(connection):
        wire, end = connection.wire, b"end\r\n0\r\n\r\n"
        connection.feed(GET % b"/long")
        while not wire.sent.endswith(end):
            await connection.until(
                lambda wire: wire.queued_bytes() > wire.high_water or wire.sent.endswith(end)
            )
            assert wire.queued_bytes() < wire.high_water + 100_000
            wire.taken = len(wire.sent)
            connection.endpoint.feed_room()
        assert wire.sent.count(b"x" * 10_000) == 100

    assert play(script, high_water=30_000).observer.faults == []


def test_a_reader_that_leaves(play) -> None:
    async def script(connection):
        connection.feed(GET % b"/long")
        await connection.until(lambda wire: wire.queued_bytes() > wire.high_water)
        connection.endpoint.feed_lost()

    connection = play(script, high_water=30_000)
    assert connection.observer.faults == []
    assert len(connection.observer.over) == 1


@pytest.mark.parametrize("path", [b"/crash", b"/missing"])
def test_a_crash_before_the_head_is_out(play, path) -> None:
    async def script(connection):
        connection.feed(GET % path + GET % b"/next")
        assert (await connection.sent(b"/next.")).startswith(b"HTTP/1.1 500 ")

    assert len(play(script).observer.faults) == 1


def test_a_malformed_body(play) -> None:
    async def script(connection):
        connection.feed(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(0)
        connection.feed(b"nonsense\r\n")
        await connection.until(lambda wire: wire.fate != "stays")

    connection = play(script)
    assert connection.observer.faults == []


def test_eagerly_answered_within_the_same_turn(engine, run) -> None:
    async def main():
        interface = load("asginl")(asgi, context(asyncio.get_running_loop()))
        await interface.startup()
        await asyncio.sleep(0)  # before Python 3.12 a task begins in the next turn
        connection = Connection(engine, interface)
        connection.feed(GET % b"/one" + GET % b"/slow" + GET % b"/three")
        assert connection.wire.sent.endswith(b"/one.")
        await connection.sent(b"/three.")
        await interface.settle()

    run(main())
