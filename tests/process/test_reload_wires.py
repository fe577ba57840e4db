"""Reload and stop, as connections of HTTP/2 and WebSockets see them: nothing lost, all told."""

from __future__ import annotations

import asyncio
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.process.daemon import PATIENCE_S
from tests.process.load import Load
from tests.wire.harness import ENGINES

RELOADS = 5
CONVERSATIONS = 30

TALK = """

http_app = app


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return await http_app(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        try:
            await send({"type": "websocket.send", "text": message["text"] + " " + VERSION})
        except OSError:
            pass
    with open("ends", "a") as ends:
        ends.write(f"{message['code']}\\n")
"""


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def test_reloads_lose_no_stream(serve, engine):
    daemon = serve(2, f'engine = "{engine}"')
    with Load(("127.0.0.1", daemon.port), keep=1, new=1, h2=3) as load:
        load.more()
        for number in range(RELOADS):
            assert f"gen {number + 2}, 2 workers" in daemon.reload()
            load.more(50)
    assert load.result["lost"] == []


@pytest.mark.parametrize(("ending", "code"), [("reload", 1012), ("stop", 1001)])
def test_conversations_are_told(serve, deploy, tmp_path, engine, ending, code):
    """Each is closed with a code that says whether to come back; spread over the drain."""
    deploy("one", TALK)
    daemon = serve(2, f'engine = "{engine}"\nworkers_kill_timeout = 6')
    url = f"ws://127.0.0.1:{daemon.port}/"

    async def talk(ready: asyncio.Semaphore) -> tuple[int, float]:
        """Talk without a pause until told to stop; the code, and when that was."""
        async with connect(url, open_timeout=PATIENCE_S, ping_interval=None) as websocket:
            count = 0
            try:
                while True:
                    await websocket.send(str(count))
                    assert await websocket.recv() == f"{count} one"
                    if count == 0:
                        ready.release()
                    count += 1
                    await asyncio.sleep(0.02)
            except ConnectionClosed as closed:
                begun_by_server = closed.rcvd is not None and closed.rcvd_then_sent
                return closed.rcvd.code if begun_by_server else 0, time.monotonic()

    async def scenario() -> list[tuple[int, float]]:
        ready = asyncio.Semaphore(0)
        talks = [asyncio.create_task(talk(ready)) for _ in range(CONVERSATIONS)]
        for _ in talks:
            await ready.acquire()
        if ending == "reload":
            await asyncio.get_running_loop().run_in_executor(None, daemon.reload)
        else:
            daemon.signal("TERM")
        return await asyncio.gather(*talks)

    ends = asyncio.run(scenario())
    assert [said for said, _ in ends] == [code] * CONVERSATIONS
    moments = sorted(moment for _, moment in ends)
    assert moments[-1] - moments[0] > 1, "thirty random moments within some four seconds"
    if ending == "stop":
        assert daemon.wait() == 0
        assert (tmp_path / "ends").read_text().split() == [str(code)] * CONVERSATIONS
