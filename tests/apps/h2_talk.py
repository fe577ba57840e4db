"""A WebSocket in a stream of HTTP/2 (RFC 8441), by hand: `h2` and wsproto's frames."""

from __future__ import annotations

import socket

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded
from h2.settings import SettingCodes
from wsproto.frame_protocol import FrameProtocol, Opcode

from tests.apps.running import HOST
from tests.process.daemon import PATIENCE_S


class Talk:
    """One conversation on a connection of its own; a context manager.

    Attributes:
        status: what the request was answered with.
    """

    def __init__(self, address, path: str) -> None:
        self.status = 0
        self._sock = socket.create_connection(address, PATIENCE_S)
        self._h2 = H2Connection(H2Configuration(header_encoding="ascii"))
        self._frames = FrameProtocol(client=True, extensions=[])
        self._heard: list = []
        self._ended = False
        self._h2.initiate_connection()
        self._allowed = False
        while not self._allowed:
            self._turn()
        head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")]
        head += [(":path", path), (":authority", HOST), ("sec-websocket-version", "13")]
        self._h2.send_headers(1, head)
        while not self.status:
            self._turn()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, message: str | bytes) -> None:
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        content = message.encode() if isinstance(message, str) else message
        frame = self._frames._serialize_frame(opcode, content)
        most = self._h2.max_outbound_frame_size
        for start in range(0, len(frame), most):
            self._h2.send_data(1, frame[start : start + most])

    def hear(self):
        """The next message; or the code of the peer's Close."""
        whole = None
        while True:
            while not self._heard:
                assert not self._ended, "the stream has ended"
                self._turn()
            frame = self._heard.pop(0)
            if frame.opcode is Opcode.CLOSE:
                return frame.payload[0]
            whole = frame.payload if whole is None else whole + frame.payload
            if frame.message_finished:
                return whole if isinstance(whole, str) else bytes(whole)

    def _turn(self) -> None:
        """Send what is to be sent, and take what comes."""
        self._sock.sendall(self._h2.data_to_send())
        data = self._sock.recv(65536)
        assert data, "the connection has ended"
        for event in self._h2.receive_data(data):
            if isinstance(event, RemoteSettingsChanged):
                self._allowed |= SettingCodes.ENABLE_CONNECT_PROTOCOL in event.changed_settings
            elif isinstance(event, ResponseReceived):
                self.status = int(dict(event.headers)[":status"])
            elif isinstance(event, DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
                self._frames.receive_bytes(event.data)
                self._heard += self._frames.received_frames()
            elif isinstance(event, StreamEnded):
                self._ended = True
        self._sock.sendall(self._h2.data_to_send())
