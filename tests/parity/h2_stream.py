"""One request on an HTTP/2 connection without TLS, or below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

if TYPE_CHECKING:
    import socket


class Stream:
    """The first stream of a connection of its own.

    Attributes:
        interims: statuses of interim answers.
        head, trailers: fields of the answer.
        body: what has come of it.
        ended: it is complete.
    """

    def __init__(self, sock: socket.socket, path: str, *fields: tuple[str, str]) -> None:
        self._sock = sock
        self._h2 = H2Connection(H2Configuration(header_encoding="ascii"))
        self.interims: list[str] = []
        self.head: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self._h2.initiate_connection()
        pseudo = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]
        self._h2.send_headers(1, [*pseudo, *fields], end_stream=True)
        self._flush()

    def read(self, least: int) -> bytes:
        """Read until that much of the body is here."""
        while len(self.body) < least:
            self._step()
        return self.body

    def whole(self) -> Stream:
        """Read to the end."""
        while not self.ended:
            self._step()
        return self

    def reset(self) -> None:
        """Take the request back, and leave the connection as it is."""
        self._h2.reset_stream(1)
        self._flush()

    def _step(self) -> None:
        data = self._sock.recv(65536)
        assert data, "the connection ended"
        for event in self._h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: Any) -> None:
        if isinstance(event, InformationalResponseReceived):
            self.interims.append(dict(event.headers)[":status"])
        elif isinstance(event, ResponseReceived):
            self.head = dict(event.headers)
        elif isinstance(event, TrailersReceived):
            self.trailers = dict(event.headers)
        elif isinstance(event, DataReceived):
            self.body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.ended = True
        else:
            assert not isinstance(event, StreamReset), "the stream was reset"

    def _flush(self) -> None:
        self._sock.sendall(self._h2.data_to_send())
