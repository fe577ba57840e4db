"""The request that a worker makes before it is ready."""

from __future__ import annotations

import pytest

from granian_d.errors import StartupError
from granian_d.worker.warmup import warm_up
from tests.unit.plan import specimens


def application(status, body=b"warm"):
    asked = []

    async def app(scope, receive, send):
        asked.append((scope["method"], scope["path"], scope["query_string"], scope["client"]))
        if status is None:
            raise ValueError("cold")
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": body})

    return app, asked


@pytest.mark.parametrize("status", [200, 204, 302, 404])
def test_the_application_is_asked_before_anybody_else_can(run, status):
    app, asked = application(status, b"" if status == 204 else b"x" * 300_000)

    async def story(room):
        _, writer = await room.dial()
        writer.write(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
        plan = specimens.worker_plan(engine=room.engine, warmup="/warm")
        await warm_up(room.loop, room.connections, plan, room.row)
        await room.until(lambda: not room.connections.open)
        assert asked == [("GET", "/warm", b"", None)]
        assert room.accesses == [f"/warm {status}"]
        room.acceptor.arm()
        await room.until(lambda: len(asked) == 2)

    run(story, app)


@pytest.mark.parametrize(("status", "told"), [(500, 500), (503, 503), (None, 500)])
def test_who_fails_then_does_not_start(run, status, told):
    app, _ = application(status)

    async def story(room):
        plan = specimens.worker_plan(engine=room.engine, warmup="/warm")
        with pytest.raises(StartupError, match=f"warm-up: GET /warm answered {told}"):
            await warm_up(room.loop, room.connections, plan, room.row)

    run(story, app)


def test_an_answer_that_is_cut_is_none(run):
    async def app(scope, receive, send):
        head = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError

    async def story(room):
        plan = specimens.worker_plan(engine=room.engine, warmup="/warm")
        with pytest.raises(StartupError, match="warm-up: GET /warm was not answered"):
            await warm_up(room.loop, room.connections, plan, room.row)

    run(story, app)
