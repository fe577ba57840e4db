"""Octets to and from a server: frames as they come, until the connection or the time ends."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING, NamedTuple, Self

import hpack

from tests.conformance.h2 import frames
from tests.conformance.h2.frames import Frame, Kind

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

LARGEST_FRAME = 16384  # that a server may send us, as we do not allow more: RFC 9113 4.2
RECENT = 8  # frames of a report


class Failed(AssertionError):
    """The server did something else. The text says what was expected and what was seen."""

    def __init__(self, expected: str, saw: list[str]) -> None:
        recent = saw[-RECENT:] or ["nothing"]
        super().__init__(f"expected {expected}; saw {', '.join(recent)}")


class Skipped(Exception):
    """The case says nothing about this server."""


class Closed(NamedTuple):
    """The end of a connection: how, and the octets before it that are no frame."""

    how: str
    octets: bytes = b""

    def __str__(self) -> str:
        before = f" after {self.octets[:60]!r}" if self.octets else ""
        return f"closed by {self.how}{before}"


class Wire:
    """One connection, closed at the end of `with`; `deadline_s` from now it is over in any case."""

    def __init__(self, host: str, port: int, deadline_s: float, tls: ssl.SSLContext | None) -> None:
        self.end = time.monotonic() + deadline_s
        self.seen: list[str] = []
        self.fields: dict[int, list[tuple[str, str]]] = {}  # the last of each stream
        self._decoder = hpack.Decoder()
        self._block = b""
        self._buffer = bytearray()
        self._ended: Closed | None = None
        self.socket = socket.create_connection((host, port), deadline_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._secure(tls, host)

    def _secure(self, tls: ssl.SSLContext, host: str) -> None:
        plain = self.socket
        try:
            self.socket = tls.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        chosen = self.socket.selected_alpn_protocol()
        if chosen != "h2":
            self.socket.close()
            raise Failed("ALPN to choose h2", [str(chosen)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # --- what it says --------------------------------------------------------------------------------

    def send(self, *parts: bytes) -> None:
        """Send these octets, as far as the server takes them.

        It may stop to read, or go, after it has said why: that is read meanwhile. What could not be
        sent is no error here, it shows in what comes.
        """
        octets = memoryview(b"".join(parts))
        with contextlib.suppress(OSError):
            while octets and self._ended is None:
                left = max(self.end - time.monotonic(), 0)
                readable, writable, _ = select.select([self.socket], [self.socket], [], left)
                if readable:
                    self._receive()
                elif writable:
                    octets = octets[self.socket.send(octets) :]
                else:
                    return

    # --- what it hears ---------------------------------------------------------------------------------

    def events(self) -> Iterator[Frame | Closed]:
        """Frames as they come, and how the connection ended; ends with the deadline as well."""
        while True:
            frame = None if self._is_foreign() else frames.take(self._buffer)
            if frame is not None:
                self.seen.append(str(frame))
                if flaw := frame.flaw:
                    raise Failed("well-formed frames", [*self.seen, flaw])
                self._decode(frame)
                yield frame
            elif self._ended is not None:
                closed = self._ended._replace(octets=bytes(self._buffer))
                self.seen.append(str(closed))
                yield closed
                return
            elif not self._receive():
                part = f" but {bytes(self._buffer[:60])!r}" if self._buffer else ""
                self.seen.append(f"nothing more in time{part}")
                return

    def _is_foreign(self) -> bool:
        """What comes cannot be a frame for us, such as an answer in HTTP/1.1."""
        head = len(self._buffer) >= frames.HEAD
        return head and frames.payload_length(self._buffer) > LARGEST_FRAME

    def _receive(self) -> bool:
        """Read more, or learn how the connection ended; False when the time is up."""
        left = self.end - time.monotonic()
        self.socket.settimeout(max(left, 0.001))
        try:
            octets = self.socket.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:  # ConnectionResetError, and what ssl makes of it
            how = "RST" if isinstance(error, ConnectionError) else type(error).__name__
            self._ended = Closed(how)
        else:
            self._buffer += octets
            self._ended = None if octets else Closed("FIN")
        return True

    def _decode(self, frame: Frame) -> None:
        """Keep the compression context, and the fields of an answer."""
        if frame.kind not in (Kind.HEADERS, Kind.CONTINUATION):
            return
        self._block = (b"" if frame.kind == Kind.HEADERS else self._block) + frame.content
        if not frame.ends_headers:
            return
        try:
            fields = self._decoder.decode(self._block)
        except hpack.HPACKError as error:
            raise Failed("a field block that can be decoded", [*self.seen, str(error)]) from error
        self.fields[frame.stream] = [(str(name), str(value)) for name, value in fields]
        self.seen[-1] += f" (status {self.status(frame.stream)})"

    def status(self, stream: int) -> int:
        """The last status of a stream, 0 without one, as in trailers."""
        return int(dict(self.fields.get(stream, ())).get(":status", 0))
