"""The daemon's own answer about how the service is."""

from __future__ import annotations

import threading

import pytest

from granian_d.observe.scoreboard import HEALTHS
from tests.unit.worker.room import Holding


@pytest.mark.parametrize(("word", "status"), [("well", 200), ("degraded", 200), ("leaving", 503)])
def test_it_says_what_the_master_says(run, word, status):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        room.health[0] = HEALTHS.index(word)
        client = await room.ask("/-/health?x=1")
        head = await client.head()
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert "\r\ncache-control: no-store\r\n" in head.lower()
        assert await client.reader.readexactly(len(word) + 1) == f"{word}\n".encode()
        assert not app.begun
        assert not room.accesses
        assert not {"requests", "active", "last_ns", "sent_bytes"} & room.counted.keys()
        client.writer.write(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
        assert " 200 " in await client.head()
        assert app.begun == ["/quick"]
        await room.until(lambda: room.counted.get("requests") == 1)
        assert room.accesses == ["/quick 200"]

    run(story, app, health="/-/health")


@pytest.mark.parametrize(
    ("request_line", "ours"),
    [
        ("HEAD /-/health", True),
        ("POST /-/health", False),
        ("GET /-/health/", False),
        ("GET /", False),
    ],
)
def test_what_is_asked_at_that_path(run, request_line, ours):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        reader, writer = await room.dial()
        fields = "Host: x\r\nConnection: close\r\nContent-Length: 0\r\n"
        writer.write(f"{request_line} HTTP/1.1\r\n{fields}\r\n".encode())
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n" if ours else b"last\r\n0\r\n\r\n") or not ours
        assert bool(app.begun) is not ours

    run(story, app, health="/-/health")


def test_it_answers_while_all_threads_are_busy(run):
    release, busy = threading.Event(), threading.Semaphore(0)

    def app(environ, start_response):
        busy.release()
        release.wait()
        start_response("200 OK", [])
        return [b"."]

    async def story(room):
        try:
            room.acceptor.arm()
            clients = [await room.ask("/", "Connection: close") for _ in range(3)]
            for _ in range(2):
                await room.until(lambda: busy.acquire(blocking=False))
            assert (await (await room.ask("/up", "Connection: close")).answer()) == (200, b"well\n")
        finally:
            release.set()
        for client in clients:
            assert (await client.answer())[0] == 200

    run(story, app, interface="wsgi", health="/up", threads=2)


def test_there_is_no_conversation_about_it(run):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        client = await room.ask(
            "/up",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        assert (await client.head()).startswith("HTTP/1.1 200 ")
        assert not app.begun
        assert "active" not in room.counted

    run(story, app, health="/up")
