"""A client of HTTP/2 that keeps many streams of one connection busy, and heeds GOAWAY."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 65536
HEADER_BYTES = 9  # of a frame (RFC 9113 4.1)
GOAWAY = 7


class Streams:
    """One connection, as long as the server lets it be used.

    Args:
        path: what each stream asks for.
        answered: is told the body of each answer with status 200.
        going: says whether to ask for more.
        width: so many streams at once.
        pause_s: before new streams take the place of those that have ended.
    """

    def __init__(
        self,
        path: str,
        answered: Callable[[bytes], None],
        going: Callable[[], bool],
        width: int,
        pause_s: float,
    ) -> None:
        self._pause_s = pause_s
        self._answered = answered
        self._going = going
        self._width = width
        self._head = [(":method", "GET"), (":scheme", "http"), (":path", path)]
        self._head.append((":authority", "localhost"))
        self._h2 = H2Connection(H2Configuration(header_encoding=None))
        self._bodies: dict[int, bytearray] = {}
        self._held = bytearray()
        self._leaving = False
        self.lost: list[str] = []

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask until `going` is False or the server has said GOAWAY; every stream ends first."""
        self._h2.initiate_connection()
        self._ask()
        while self._bodies:
            writer.write(self._h2.data_to_send())
            data = await reader.read(READ_BYTES)
            if not data:
                self._lose_all("the connection ended")
                break
            for event in self._h2.receive_data(self._without_goaway(data)):
                self._take(event)
            if len(self._bodies) < self._width:
                await asyncio.sleep(self._pause_s)
            self._ask()
        writer.write(self._h2.data_to_send())

    def _ask(self) -> None:
        while len(self._bodies) < self._width and not self._leaving and self._going():
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, self._head, end_stream=True)
            self._bodies[stream_id] = bytearray()

    def _take(self, event: object) -> None:
        if isinstance(event, ResponseReceived):
            if dict(event.headers)[b":status"] != b"200":
                self.lost.append(f"answered {event.headers!r}")
        elif isinstance(event, DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._answered(bytes(self._bodies.pop(event.stream_id)))
        elif isinstance(event, StreamReset):
            self._bodies.pop(event.stream_id, None)
            self.lost.append(f"reset with {event.error_code}")

    def _without_goaway(self, data: bytes) -> bytes:
        """Whole frames for the library, which takes a GOAWAY for the end of all streams."""
        self._held += data
        frames = bytearray()
        while len(self._held) >= HEADER_BYTES:
            size = HEADER_BYTES + int.from_bytes(self._held[:3], "big")
            if len(self._held) < size:
                break
            if self._held[3] == GOAWAY:
                self._heed(self._held[HEADER_BYTES:size])
            else:
                frames += self._held[:size]
            del self._held[:size]
        return bytes(frames)

    def _heed(self, goaway: bytes) -> None:
        """RFC 9113 6.8: what lies above the last id may be asked for again, elsewhere."""
        self._leaving = True
        last_id, code = struct.unpack("!II", goaway[:8])
        if code:
            self._lose_all(f"GOAWAY with {code}")
        for stream_id in [number for number in self._bodies if number > last_id]:
            del self._bodies[stream_id]

    def _lose_all(self, why: str) -> None:
        self.lost += [why] * len(self._bodies)
        self._bodies.clear()
