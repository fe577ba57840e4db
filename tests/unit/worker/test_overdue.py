"""Requests that an application does not begin to answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from granian_d.worker import heartbeat
from granian_d.worker.held import oldest_ns
from tests.unit.worker.room import Holding

NOW_S = 0.0  # a limit that everything has passed


async def asgi_wait(event):
    await event.wait()


class Rsgi:
    """Waits until it is told to answer; /stream begins before that."""

    def __init__(self):
        self.begun, self.ends = [], []
        self.release = asyncio.Event()

    async def __rsgi__(self, scope, protocol):
        self.begun.append(scope.path)
        try:
            if scope.path == "/stream":
                stream = protocol.response_stream(200, [])
                await stream.send_str("first")
            await asgi_wait(self.release)
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        if scope.path == "/stream":
            await stream.send_str("last")
        else:
            protocol.response_str(200, [], "last")


APPS = {"asginl": Holding, "rsgi": Rsgi}


def told(room):
    return [record for record in room.logged if record["event"] == "request_overdue"]


@pytest.mark.parametrize("interface", APPS)
def test_it_is_told_once_and_cancelled_and_its_peer_gets_504(run, interface):
    app = APPS[interface]()

    async def story(room):
        room.acceptor.arm()
        client = await room.ask("/slow?token=secret", "Connection: close")
        await room.until(lambda: app.begun)
        overdue = room.overdue(NOW_S)
        overdue.look()
        status, body = await client.answer()
        assert (status, body) == (504, b"Gateway Timeout")
        await room.until(lambda: app.ends)
        overdue.look()
        assert app.ends == ["CancelledError"]
        (record,) = told(room)
        assert record["request"] == "GET /slow"
        assert record["client"] == "127.0.0.1"
        assert record["outcome"] == "its task is cancelled"
        assert record["message"].startswith("GET /slow of 127.0.0.1 not answered after 0.")
        innermost = record["traceback"].splitlines()[-1].strip()
        assert innermost in ("await fut", "await self._wait()", "await self.release.wait()")
        assert "secret" not in str(record)
        assert [record["event"] for record in room.logged] == ["request_overdue"]
        assert room.accesses == ["/slow 504"]
        assert room.counted.get("crashed") is None

    run(story, app, interface=interface)


@pytest.mark.parametrize("interface", APPS)
def test_an_answer_that_has_begun_is_not_overdue(run, interface):
    app = APPS[interface]()

    async def story(room):
        room.acceptor.arm()
        client = await room.ask("/stream")
        await client.head()
        room.overdue(NOW_S).look()
        app.release.set()
        assert await client.chunked()
        assert not told(room)

    run(story, app, interface=interface)


def test_a_conversation_is_not_overdue_and_has_no_age(run):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        await room.ask(
            "/talk",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        await room.until(lambda: app.begun)
        room.overdue(NOW_S).look()
        assert not told(room)
        assert oldest_ns(room.connections.under_way()) == 0
        assert len(room.connections.under_way()) == 1

    run(story, app)


def test_an_application_that_will_not_be_cancelled_speaks_to_nobody(run):
    ends = []

    async def app(scope, receive, send):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            await send({"type": "http.response.start", "status": 200})
        except OSError as error:
            ends.append(error)
            raise

    async def story(room):
        room.acceptor.arm()
        client = await room.ask("/", "Connection: close")
        await room.until(lambda: room.counted.get("active"))
        await asyncio.sleep(0)
        room.overdue(NOW_S).look()
        assert (await client.answer())[0] == 504
        await room.until(lambda: ends)
        assert [record["event"] for record in room.logged] == ["request_overdue"]

    run(story, app)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_is_told_and_goes_on(run, threads):
    release, waits = threading.Event(), threading.Event()

    def wait_for_the_database():
        waits.set()
        release.wait()

    def app(environ, start_response):
        wait_for_the_database()
        start_response("200 OK", [])
        return [b"after all"]

    async def story(room):
        try:
            room.acceptor.arm()
            client = await room.ask("/", "Connection: close")
            await room.until(waits.is_set)
            overdue = room.overdue(NOW_S)
            overdue.look()
            overdue.look()
            (record,) = told(room)
            assert record["outcome"] == "it goes on"
            stack = record["traceback"]
            assert stack.startswith("Stack (most recent call last):\n")
            assert "in app\n    wait_for_the_database()\n" in stack
            assert "release.wait()" in stack
            assert "granian_d" not in stack
        finally:
            release.set()
        assert await client.answer() == (200, b"after all")

    run(story, app, interface="wsgi", threads=threads)


def test_who_waits_for_a_thread_is_told_without_a_stack(run):
    release, waits = threading.Event(), threading.Event()

    def app(environ, start_response):
        waits.set()
        release.wait()
        start_response("200 OK", [])
        return [b"."]

    async def story(room):
        try:
            room.acceptor.arm()
            one = await room.ask("/1", "Connection: close")
            await room.until(waits.is_set)
            two = await room.ask("/2", "Connection: close")
            await room.until(lambda: room.counted.get("active") == 2)
            room.overdue(NOW_S).look()
            (stack,) = [r["traceback"] for r in told(room) if r["request"] == "GET /2"]
            assert stack == "No code of the application is at work on it"
        finally:
            release.set()
        for client in (one, two):
            assert (await client.answer())[0] == 200

    run(story, app, interface="wsgi", threads=1)


def test_the_limit_is_a_limit(run):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        client = await room.ask("/slow")
        await room.until(lambda: app.begun)
        room.overdue(3600).look()
        assert not told(room)
        room.overdue(0.05).start()
        assert "504 Gateway Timeout" in await client.head()
        await room.until(lambda: told(room))

    run(story, app)


def test_the_heart_says_how_old_the_oldest_is_and_how_busy_we_were(run):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        one = await room.ask("/slow")
        await room.until(lambda: app.begun)
        begun_ns = room.counted["last_ns"]
        await room.ask("/slow")
        await room.until(lambda: len(app.begun) == 2)
        heartbeat.start(room.loop, room.row, room.connections)
        counted = room.counted
        assert counted["oldest_ns"] == begun_ns
        assert counted["beat_ns"] >= counted["last_ns"] > begun_ns
        assert counted["busy_ns"] > 0
        assert counted.get("lag_ns", 0) < 1e9
        app.release.set()
        await one.head()
        await room.until(lambda: "oldest_ns" not in room.counted)
        assert room.counted["beat_ns"] > counted["beat_ns"]

    run(story, app)
