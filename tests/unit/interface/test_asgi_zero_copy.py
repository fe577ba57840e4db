"""http.response.zerocopysend: files that the application has open."""

import asyncio
import io
import os
import random

import pytest

from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.interface.registry import load

from .memory import MemoryExchange, context, request

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body"}
CONTENT = random.Random(1).randbytes(300_000)


def copy(file, **keys):
    return {"type": "http.response.zerocopysend", "file": file, **keys}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    return tmp_path / "f"


@pytest.fixture
def serve(run, path):
    """Have `steps(send, file)` answer behind a start; nothing is left open."""

    def serve(steps, exchange=None, script=None, start=START):
        exchange = exchange or MemoryExchange()

        async def app(scope, receive, send):
            assert scope["extensions"]["http.response.zerocopysend"] == {}
            await send(start)
            with path.open("rb") as file:
                await steps(send, file)
                assert not file.closed, "it is the application's"

        async def main():
            interface = load("asginl")(app, context(asyncio.get_running_loop()))
            interface.serve(exchange)
            if script is not None:
                await script(exchange)
            await interface.settle()

        before = len(os.listdir("/proc/self/fd"))
        run(main())
        assert len(os.listdir("/proc/self/fd")) == before
        return exchange

    return serve


async def reading(exchange):
    """A peer that reads whenever it is waited for."""
    while exchange.state_name in ("awaited", "started"):
        await exchange.until(lambda: exchange._on_room or exchange.state_name == "finished")
        exchange.read()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, CONTENT),
        ({"offset": 10}, CONTENT[10:]),
        ({"count": 10}, CONTENT[:10]),
        ({"offset": 200_000, "count": 50_000}, CONTENT[200_000:250_000]),
        ({"offset": 299_999, "count": 10}, CONTENT[-1:]),
        ({"offset": 300_000}, b""),
        ({"count": 0}, b""),
    ],
)
@pytest.mark.parametrize("more", [False, True])
def test_what_is_sent(serve, keys, expected, more) -> None:
    async def steps(send, file):
        await send(copy(file, more_body=more, **keys))
        if more:
            await send(END)

    exchange = serve(steps, MemoryExchange(room_bytes=1000), reading)
    assert (exchange.body, exchange.state_name, exchange.crashes) == (expected, "finished", [])


def test_mixed_with_bodies_from_where_the_file_stands(serve) -> None:
    async def steps(send, file):
        file.read(2)  # the descriptor is further on: it is buffered
        await send({**END, "body": b"<", "more_body": True})
        await send(copy(file, count=3, more_body=True))
        await send({**END, "body": b"|", "more_body": True})
        await send(copy(file, offset=0, count=1, more_body=True))
        await send(copy(file, count=4))
        assert file.tell() == 9

    expected = b"<" + CONTENT[2:5] + b"|" + CONTENT[:1] + CONTENT[5:9]
    assert serve(steps).body == expected


def test_a_bare_descriptor(serve) -> None:
    async def steps(send, file):
        os.lseek(file.fileno(), 100, os.SEEK_SET)
        await send(copy(file.fileno(), count=5, more_body=True))
        await send(copy(file.fileno(), count=5))

    assert serve(steps).body == CONTENT[100:110]


def test_the_application_may_close_it_meanwhile(serve) -> None:
    async def steps(send, file):
        fd = os.dup(file.fileno())
        sending = asyncio.ensure_future(send(copy(fd)))
        await asyncio.sleep(0)
        os.close(fd)
        await sending

    exchange = serve(steps, MemoryExchange(room_bytes=1000), reading)
    assert (exchange.body, exchange.crashes) == (CONTENT, [])


def test_behind_a_length(serve) -> None:
    start = {**START, "headers": [(b"content-length", b"10")]}

    async def steps(send, file):
        await send(copy(file, count=4, more_body=True))
        await send(copy(file, count=6))

    assert serve(steps, start=start).body == CONTENT[:10]


def test_trailers_follow(serve) -> None:
    async def steps(send, file):
        await send(copy(file, count=4))
        await send({"type": "http.response.trailers", "headers": [(b"a", b"1")]})

    exchange = serve(steps, start={**START, "trailers": True})
    assert (exchange.body, exchange.trailers) == (CONTENT[:4], [(b"a", b"1")])


def test_head(serve) -> None:
    async def steps(send, file):
        await send(copy(file, count=4, more_body=True))
        await send(copy(file))

    exchange = serve(steps, MemoryExchange(request(method="HEAD")))
    assert (exchange.body, exchange.state_name) == (b"", "finished")


def test_nothing_else_meanwhile(serve) -> None:
    async def steps(send, file):
        sending = asyncio.ensure_future(send(copy(file, more_body=True)))
        await asyncio.sleep(0)
        with pytest.raises(FlowError, match="a part of a file is being sent"):
            await send(END)
        await sending
        await send(END)

    assert serve(steps, MemoryExchange(room_bytes=1000), reading).body == CONTENT


@pytest.mark.parametrize("more", [False, True])
def test_the_peer_leaves_meanwhile(serve, more) -> None:
    raised = []

    async def steps(send, file):
        with pytest.raises(Disconnected) as caught:
            await send(copy(file, more_body=more))
        raised.append(caught.value)

    async def script(exchange):
        await exchange.until(lambda: exchange._on_room)
        exchange.lose()

    exchange = serve(steps, MemoryExchange(room_bytes=0), script)
    assert raised
    assert not exchange.crashes


def test_it_becomes_shorter_meanwhile(serve, path) -> None:
    async def steps(send, file):
        with pytest.raises(InvalidResponse, match="shorter"):
            await send(copy(file, more_body=True))
        await send(END)

    async def script(exchange):
        await exchange.until(lambda: exchange._on_room)
        os.truncate(path, 140_000)
        await reading(exchange)

    assert len(serve(steps, MemoryExchange(room_bytes=1000), script).body) == 140_000


@pytest.mark.parametrize(
    "keys",
    [
        {"file": None},
        {"file": io.BytesIO(b"x")},
        {"file": -1},
        {"file": 1 << 40},
        {"offset": -1},
        {"count": "all"},
    ],
)
def test_what_cannot_be_sent(serve, keys) -> None:
    async def steps(send, file):
        with pytest.raises(InvalidResponse):
            await send({**copy(file), **keys})
        await send(END)  # nothing has changed

    exchange = serve(steps)
    assert (exchange.body, exchange.state_name) == (b"", "finished")


def test_what_is_no_file(serve) -> None:
    async def steps(send, file):
        reader, writer = os.pipe()
        with pytest.raises(InvalidResponse, match="regular"):
            await send(copy(reader))
        os.close(reader)
        os.close(writer)
        await send(END)

    assert serve(steps).state_name == "finished"


def test_before_the_start(run, path) -> None:
    async def app(scope, receive, send):
        with path.open("rb") as file, pytest.raises(FlowError, match="not been started"):
            await send(copy(file))
        await send(START)
        await send(END)

    async def main():
        interface = load("asginl")(app, context(asyncio.get_running_loop()))
        interface.serve(exchange)
        await interface.settle()

    exchange = MemoryExchange()
    run(main())
    assert not exchange.crashes
