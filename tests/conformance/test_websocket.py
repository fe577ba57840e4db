"""WebSocket of both engines, by the cases of the Autobahn test suite."""

from __future__ import annotations

import pytest

from granian_d.engine.choose import is_compiled
from tests.conformance.websocket.case import QUICK_COUNT
from tests.conformance.websocket.catalogue import choose, every
from tests.conformance.websocket.client import Target
from tests.conformance.websocket.conversation import run
from tests.process.daemon import PATIENCE_S, Daemon

# What is sent behind the end is lost, and both interfaces say so to their application.
ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    try:
        while (event := await receive())["type"] == "websocket.receive":
            kind = "bytes" if event.get("text") is None else "text"
            await send({"type": "websocket.send", kind: event[kind]})
    except OSError:
        return
"""

RSGI = """
from granian_d.rsgi import ProtocolClosed, WebsocketMessageType


async def app(scope, protocol):
    transport = await protocol.accept()
    try:
        while (message := await transport.receive()).kind != WebsocketMessageType.close:
            if message.kind == WebsocketMessageType.string:
                await transport.send_str(message.data)
            else:
                await transport.send_bytes(message.data)
    except ProtocolClosed:
        return
"""

# Framing is the engine's: through RSGI the groups in which the application has a part.
RSGI_GROUPS = ("1", "2.10", "3.2", "5", "6.1", "6.2", "6.4", "7", "9.1.3", "9.7", "12.1", "14.1")


def daemons(code: str, interface: str, engine: str, directory):
    """A target for as long as it is wanted: one worker, which has to be the same at the end."""
    if engine == "native" and not is_compiled():
        pytest.skip("the native engine is not compiled: apt install gcc python3-dev")
    (directory / "echo.py").write_text(code)
    served = ("echo:app", "--interface", interface, "--port", "0", "--workers", "1")
    with Daemon(directory, arguments=(*served, "--engine", engine)) as daemon:
        daemon.wait_for_log("Started worker-")
        workers = daemon.workers()
        yield Target("127.0.0.1", daemon.port, patience_s=PATIENCE_S)
        assert daemon.workers() == workers
        assert "Traceback" not in daemon.log


@pytest.fixture(scope="module", params=["pure", "native"])
def asgi(request, tmp_path_factory):
    yield from daemons(ASGI, "asgi", request.param, tmp_path_factory.mktemp("asgi"))


@pytest.fixture(scope="module", params=["native"])  # the interface is the same on both
def rsgi(request, tmp_path_factory):
    yield from daemons(RSGI, "rsgi", request.param, tmp_path_factory.mktemp("rsgi"))


def by_id(case) -> str:
    return case.id


@pytest.mark.parametrize("case", every(QUICK_COUNT), ids=by_id)
def test_through_asgi(case, asgi):
    report = run(case, asgi)
    assert report.passed, f"{case.title}: {report}"


@pytest.mark.parametrize("case", choose(RSGI_GROUPS, QUICK_COUNT), ids=by_id)
def test_through_rsgi(case, rsgi):
    report = run(case, rsgi)
    assert report.passed, f"{case.title}: {report}"
