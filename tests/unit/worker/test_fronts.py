"""Who answers before the application, and what is counted and logged of it."""

from __future__ import annotations

import pytest

from granian_d.plan import MountPlan, StaticPlan
from tests.unit.worker.room import Holding


@pytest.fixture
def plan(tmp_path):
    """Files of everything."""
    (tmp_path / "a.txt").write_text("file")
    return StaticPlan(
        mounts=(MountPlan(route="", directory=str(tmp_path)),),
        index="",
        expires_s=0.0,
        precompressed=True,
        symlinks="inside",
    )


def test_a_file_is_an_exchange_like_others(run, plan):
    """Granian: it is not in the access log."""
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        found = await (await room.ask("/a.txt", "Connection: close")).answer()
        missing = await (await room.ask("/b.txt", "Connection: close")).answer()
        assert (found, missing) == ((200, b"file"), (404, b"Not found"))
        assert not app.begun
        await room.until(lambda: room.counted.get("requests") == 2)
        assert "active" not in room.counted
        assert room.counted["sent_bytes"] == len(b"file" + b"Not found")
        assert room.accesses == ["/a.txt 200", "/b.txt 404"]
        assert (room.counted["static"], room.counted["static_errors"]) == (2, 1)

    run(story, app, static=plan)


def test_health_comes_first_and_is_not_counted(run, plan):
    async def story(room):
        room.acceptor.arm()
        assert await (await room.ask("/up", "Connection: close")).answer() == (200, b"well\n")
        assert "requests" not in room.counted
        assert not room.accesses

    run(story, Holding(), static=plan, health="/up")


def test_a_conversation_is_the_applications(run, plan):
    app = Holding()

    async def story(room):
        room.acceptor.arm()
        client = await room.ask(
            "/a.txt",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        assert (await client.head()).startswith("HTTP/1.1 101 ")
        assert app.begun == ["/a.txt"]

    run(story, app, static=plan)
