"""A WebSocket client on the wsproto library, with and without compression."""

from __future__ import annotations

import pytest
from wsproto import WSConnection
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tests.process.daemon import Daemon
from tests.wire.harness import ENGINES

ECHO = """
async def app(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": "echo", "headers": [(b"x-more", b"1")]})
    while (message := await receive())["type"] == "websocket.receive":
        kept = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **kept})
    with open("end", "w") as end:
        end.write(f"{message['code']} {message['reason']}")
"""


class Client:
    """One conversation on a blocking socket."""

    def __init__(self, daemon: Daemon, *extensions: PerMessageDeflate) -> None:
        self._sock = daemon.dial()
        self._codec = WSConnection(ConnectionType.CLIENT)
        self._events = iter(())
        names = ["other", "echo"]
        self.say(Request("localhost", "/", subprotocols=names, extensions=list(extensions)))

    def say(self, event) -> None:
        self._sock.sendall(self._codec.send(event))

    def hear(self):
        """The next event."""
        while (event := next(self._events, None)) is None:
            self._codec.receive_data(self._sock.recv(65536) or None)
            self._events = iter(list(self._codec.events()))
        return event

    def hear_message(self):
        """A whole message."""
        parts = []
        while True:
            event = self.hear()
            parts.append(event.data)
            if event.message_finished:
                return parts[0][:0].join(parts)

    @property
    def over(self) -> bool:
        return self._codec.state is ConnectionState.CLOSED


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_conversation(tmp_path, engine, compressed):
    (tmp_path / "echo.py").write_text(ECHO)
    arguments = ("echo:app", "--interface", "asginl", "--port", "0", "--engine", engine)
    with Daemon(tmp_path, arguments=arguments) as daemon:
        offers = (PerMessageDeflate(),) if compressed else ()
        client = Client(daemon, *offers)
        accepted = client.hear()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "echo"
        assert [extension.name for extension in accepted.extensions] == [
            "permessage-deflate" for _ in offers
        ]
        assert (b"x-more", b"1") in accepted.extra_headers
        for size in (0, 1, 125, 126, 65536, 200_000):
            client.say(TextMessage("ü" * size))
            assert client.hear_message() == "ü" * size
            client.say(BytesMessage(bytes(range(256)) * (size // 256 + 1)))
            assert client.hear_message() == bytes(range(256)) * (size // 256 + 1)
        client.say(TextMessage("in ", message_finished=False))
        client.say(Ping(b"still there?"))
        assert client.hear() == Pong(b"still there?")
        client.say(TextMessage("parts"))
        assert client.hear_message() == "in parts"
        client.say(CloseConnection(4000, "enough"))
        assert client.hear().code == 4000
        assert client.over
        daemon.stop()
    assert (tmp_path / "end").read_text() == "4000 enough"
