"""WebSockets through a real daemon, on both engines: `websockets` at the other end."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, contextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

from tests.apps.frameworks import on_engines, one
from tests.apps.running import HOST
from tests.process.daemon import PATIENCE_S, fetch

MESSAGES = ["text", "grüß dich", "", b"", b"\0\xff", "x" * 300_000, b"y" * 300_000]


def dial(site, path, **more):
    """A client's connection; a context manager."""
    more = {"open_timeout": PATIENCE_S, "close_timeout": PATIENCE_S, "max_size": None, **more}
    if isinstance(site.address, str):
        return unix_connect(site.address, f"ws://{HOST}{path}", **more)
    host, port = site.address
    return connect(f"ws://{host}:{port}{path}", **more)


def talk(site, token, **more):
    return dial(site, f"/talk?token={token}", **more)


@contextmanager
def closed_with(*codes):
    """Within, the server closes with one of `codes`."""
    with pytest.raises(ConnectionClosed) as caught:
        yield caught
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code in codes
    assert caught.value.rcvd_then_sent


@on_engines("sessions")
@pytest.mark.parametrize("compression", ["deflate", None])
def test_echo(site, token, compression):
    with talk(site, token, compression=compression) as websocket:
        for message in MESSAGES:
            if message == b"" and "empty" not in site.framework.has:
                continue
            websocket.send(message)
            assert websocket.recv(PATIENCE_S) == message
        websocket.send(part for part in ("in ", "three ", "parts"))
        assert websocket.recv(PATIENCE_S) == "in three parts"


@on_engines("sessions")
def test_many_messages_in_flight(site, token):
    count = 500
    with talk(site, token) as websocket:
        for number in range(count):
            websocket.send(str(number))
        got = [websocket.recv(PATIENCE_S) for _ in range(count)]
    assert got == [str(number) for number in range(count)]


@on_engines("sessions")
def test_many_sessions_at_once(site, token):
    with ExitStack() as stack:
        websockets = [stack.enter_context(talk(site, token)) for _ in range(40)]
        for number, websocket in enumerate(websockets):
            websocket.send(f"of {number}")
        assert [websocket.recv(PATIENCE_S) for websocket in websockets] == [
            f"of {number}" for number in range(40)
        ]
        assert fetch(site.address, "/json").status == 200


@on_engines("sessions")
def test_what_the_application_knows_of_it(site):
    with dial(site, "/described?q=1") as websocket:
        facts = json.loads(websocket.recv(PATIENCE_S))
    unix = isinstance(site.address, str)
    assert facts["scheme"] == ("http" if site.framework.interface == "rsgi" else "ws")
    assert facts["path"] == "/described"
    assert facts["host"] == (HOST if unix else f"{site.address[0]}:{site.address[1]}")
    assert facts["client"] == (None if unix else "127.0.0.1")


@on_engines("refusal")
def test_refused(site):
    with pytest.raises(InvalidStatus) as caught:
        dial(site, "/nowhere")
    assert (caught.value.response.status_code, caught.value.response.body) == (403, b"")


@on_engines("denial")
def test_denied(site):
    with pytest.raises(InvalidStatus) as caught:
        dial(site, "/denied")
    response = caught.value.response
    assert response.status_code == 401
    assert response.body == (b"" if site.framework.interface == "rsgi" else b"not you")


@on_engines("handshake")
@pytest.mark.parametrize(
    ("offered", "taken"), [(None, None), (["other"], None), (["a", "talk"], "talk")]
)
def test_the_application_has_a_say_in_the_handshake(site, token, offered, taken):
    with talk(site, token, subprotocols=offered) as websocket:
        assert websocket.subprotocol == taken
        assert websocket.response.headers.get_all("x-site") == [site.framework.field]


@on_engines("handshake")
def test_closed_by_the_application_with_a_code(site, token):
    with talk(site, token) as websocket:
        websocket.send("close")
        with closed_with(4001) as caught:
            websocket.recv(PATIENCE_S)
        assert caught.value.rcvd.reason == "genug, übrigens"


@on_engines("sessions")
def test_closed_by_the_application(site, token):
    with talk(site, token) as websocket:
        websocket.send("close")
        with closed_with(1000, 4001):
            websocket.recv(PATIENCE_S)


@on_engines("sessions")
def test_closed_by_the_peer(site, token):
    with talk(site, token) as websocket:
        websocket.send("x")
        websocket.recv(PATIENCE_S)
        websocket.close(4002, "tschüß")
    told = "goodbye" in site.framework.has
    site.wait_for_note(f"talk ended {token}" + (" 4002 tschüß" if told else ""))


@on_engines("sessions")
def test_a_peer_that_is_lost(site, token):
    with talk(site, token) as websocket:
        websocket.send("x")
        websocket.recv(PATIENCE_S)
        lose(websocket)
        told = "goodbye" in site.framework.has
        word = "lost" if site.framework.field == "rsgi" else "ended"
        site.wait_for_note(f"talk {word} {token}" + (" 1006" if told else ""))


@on_engines("sessions")
def test_a_peer_that_does_not_read(site, token):
    """The application waits for room, then learns that its peer has gone; nobody else waits."""
    with dial(site, f"/flood?token={token}", max_queue=1) as websocket:
        assert websocket.recv(PATIENCE_S) == b"x" * 10_000
        assert fetch(site.address, "/json").status == 200
        lose(websocket)
        site.wait_for_note(f"flood ended {token}")


def lose(websocket):
    """End the connection without a Close."""
    websocket.socket.shutdown(socket.SHUT_RDWR)


@on_engines("sessions")
def test_a_crash(site, token):
    with talk(site, token) as websocket:
        websocket.send("crash")
        with closed_with(*((1011,) if "fault" in site.framework.has else (1000, 4500))):
            websocket.recv(PATIENCE_S)
    site.daemon.wait_for_log(f"crash on purpose {token}")
    assert fetch(site.address, "/json").status == 200


@one("django-asgi", doors=("tcp", "unix"))
def test_an_application_that_has_none(site):
    """Django raises at a scope that it does not know."""
    with pytest.raises(InvalidStatus) as caught:
        dial(site, "/json")
    assert caught.value.response.status_code == 500
    site.daemon.wait_for_log("Django can only handle ASGI/HTTP connections, not websocket")
