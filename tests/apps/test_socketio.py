"""Socket.IO by its own client: long polling and WebSocket, on both engines."""

from __future__ import annotations

import pytest
import socketio
from socketio.exceptions import ConnectionError as Refused

from tests.process.daemon import PATIENCE_S, fetch
from tests.wire.harness import ENGINES

transports = pytest.mark.parametrize("transport", ["polling", "websocket"])
engines = pytest.mark.parametrize(
    ("running", "door"),
    [pytest.param(("socketio", f"single-{engine}"), "tcp", id=engine) for engine in ENGINES],
    indirect=["running"],
    scope="session",
)


@pytest.fixture
def dial(site, transport):
    """Connect clients, which are left with the test."""
    clients = []

    def dial(auth=None):
        client = socketio.SimpleClient()
        clients.append(client)
        host, port = site.address
        client.connect(
            f"http://{host}:{port}", auth=auth, transports=[transport], wait_timeout=PATIENCE_S
        )
        assert client.transport == transport
        return client

    # What a client polls for is in the memory of one worker.
    assert len(site.daemon.workers()) == 1
    yield dial
    for client in clients:
        client.disconnect()


@engines
@transports
def test_acknowledgements_with_text_and_bytes(dial):
    client = dial()
    for value in ("grüß dich", {"a": [1, None]}, b"\0\xff" * 5000, "x" * 200_000):
        assert client.call("echo", value, timeout=PATIENCE_S) == value


@engines
@transports
def test_rooms_and_who_is_in_them(dial):
    teller, *others = [dial() for _ in range(3)]
    for client in (teller, *others):
        client.call("join", "tea", timeout=PATIENCE_S)
    teller.emit("tell", ("tea", "it is ready"))
    for client in others:
        assert client.receive(timeout=PATIENCE_S) == ["told", "it is ready"]
    facts = teller.call("whoami", timeout=PATIENCE_S)
    assert (facts["sid"], facts["path"]) == (teller.sid, "/socket.io/")


@engines
@transports
def test_work_in_the_background_tells_when_it_is_done(dial, site, token):
    client = dial()
    client.emit("later", token)
    assert client.call("echo", 1, timeout=PATIENCE_S) == 1
    site.open_gate(token)
    assert client.receive(timeout=PATIENCE_S) == ["told", token]


@engines
@transports
def test_refused(dial, site):
    with pytest.raises(Refused):
        dial({"token": "wrong"})
    assert fetch(site.address, "/json").status == 200


@engines
@transports
def test_an_end_is_told(dial, site):
    client = dial()
    sid = client.call("whoami", timeout=PATIENCE_S)["sid"]
    client.disconnect()
    site.wait_for_note(f"socketio ended {sid}")
