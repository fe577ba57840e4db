"""One connection to the server under test: TCP, if wanted TLS, and the opening handshake.

Whoever writes reads meanwhile, so that neither side can block the other; whoever reads waits until
a deadline. A deadline is renewed whenever something moves, up to the end of the case.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.websocket.deflate import agree
from tests.conformance.websocket.frames import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.websocket.deflate import Agreement, Offer

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
MAX_HEAD = 16384  # octets of the server's response head
READ_SIZE = 1 << 18


class Silence(Exception):
    """Nothing has moved until the deadline."""


class Target(NamedTuple):
    """The server under test.

    Attributes:
        patience_s: how long it may take over something that it has to do.
        tls: context for a connection by TLS.
    """

    host: str
    port: int
    path: str = "/"
    tls: ssl.SSLContext | None = None
    patience_s: float = 10.0


class Client:
    """A connection; a context manager.

    Args:
        target: whom to connect to.
        seconds: time for all that is done with it.

    Attributes:
        ended: the server has ended it, by FIN or by RST.

    Raises:
        OSError: there is no connection to be had.
    """

    def __init__(self, target: Target, seconds: float) -> None:
        self.target = target
        self.ended = False
        self._end = time.monotonic() + seconds
        self._refused = False  # it takes nothing more from us
        sock = socket.create_connection((target.host, target.port), target.patience_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each write is a segment
        if target.tls is not None:
            sock = target.tls.wrap_socket(sock, server_hostname=target.host)
        sock.setblocking(False)
        self._sock = sock

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    # --- octets ---------------------------------------------------------------------------------

    def write(self, data: bytes, heard: Callable[[bytes], None]) -> None:
        """Send `data` in one write, if the system takes it so; pass on what comes meanwhile.

        What the server does not take any more is dropped.

        Raises:
            Silence: it neither takes anything nor sends anything.
        """
        rest = memoryview(data)
        while rest and not self.ended and not self._refused:
            readable, writable = self._ready(writing=True)
            if readable:
                heard(self._receive())
            if writable:
                rest = rest[self._send(rest) :]

    def read(self, until: float | None = None) -> bytes:
        """What comes next; empty when the server has ended the connection.

        Args:
            until: a deadline of the clock `time.monotonic`, instead of the target's patience.

        Raises:
            Silence: nothing has come until then.
        """
        while not self.ended:
            self._ready(until=until)
            if data := self._receive():
                return data
        return b""

    def _ready(self, writing: bool = False, until: float | None = None) -> tuple[bool, bool]:
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True, False
        now = time.monotonic()
        limit = min(until or now + self.target.patience_s, self._end)
        writers = [self._sock] if writing else []
        readable, writable, _ = select.select([self._sock], writers, [], max(limit - now, 0))
        if not readable and not writable:
            raise Silence
        return bool(readable), bool(writable)

    def _receive(self) -> bytes:
        try:
            data = self._sock.recv(READ_SIZE)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""  # a part of a record
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.ended = not data
        return data

    def _send(self, data: memoryview) -> int:
        try:
            return self._sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return 0
        except (ConnectionError, ssl.SSLError):
            self._refused = True  # what it has sent before can still be read
            return 0

    # --- opening handshake ----------------------------------------------------------------------

    def open(self, offers: tuple[Offer, ...]) -> tuple[Agreement | None, bytes]:
        """Go through the opening handshake (RFC 6455, section 4.1).

        Returns:
            What is agreed on permessage-deflate, None without it; what came behind the head.

        Raises:
            Violation: the server refuses, or does it wrong.
            Silence: it does not answer.
        """
        target = self.target
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {target.path} HTTP/1.1",
            f"Host: {target.host}:{target.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if offers:
            lines.append(f"Sec-WebSocket-Extensions: {', '.join(map(str, offers))}")
        early = bytearray()
        self.write("\r\n".join([*lines, "", ""]).encode(), early.extend)
        while b"\r\n\r\n" not in early:
            if len(early) > MAX_HEAD or not (data := self.read()):
                raise Violation(f"no response to the opening handshake: {bytes(early[:80])!r}")
            early += data
        head, _, rest = bytes(early).partition(b"\r\n\r\n")
        return _accept(head, key, offers), rest


def _accept(head: bytes, key: bytes, offers: tuple[Offer, ...]) -> Agreement | None:
    status, *lines = head.decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 101 "):
        raise Violation(f"no opening handshake: {status}")
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).append(value.strip())
    # A digest that the RFC asks for, and no protection of anything.
    proof = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID, usedforsecurity=False).digest())
    if fields.get("sec-websocket-accept") != [proof.decode()]:
        raise Violation("a wrong Sec-WebSocket-Accept")
    if [value.lower() for value in fields.get("upgrade", [])] != ["websocket"]:
        raise Violation("a wrong Upgrade field")
    if "upgrade" not in ", ".join(fields.get("connection", [])).lower():
        raise Violation("a wrong Connection field")
    if "sec-websocket-protocol" in fields:
        raise Violation("a subprotocol that was not asked for")
    if "sec-websocket-extensions" not in fields:
        return None
    return agree(", ".join(fields["sec-websocket-extensions"]), offers)
