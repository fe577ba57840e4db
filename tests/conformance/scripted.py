"""A WebSocket server that does what a script says, right or wrong, on one connection."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from typing import NamedTuple

from tests.conformance.websocket.client import ACCEPT_GUID

PATIENCE_S = 10.0


class Hear(NamedTuple):
    """Read so many frames, or all that come until the peer ends the connection."""

    count: int | None = None


class Say(NamedTuple):
    """Send octets."""

    octets: bytes


class Reset(NamedTuple):
    """End the connection by RST, not FIN, at the end of the script."""


def frame(opcode: int, payload: bytes = b"", first: int = 0x80) -> bytes:
    """A frame as servers send them, with other bits in its first octet if wanted."""
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((first | opcode,)) + length + payload


class ScriptedServer:
    """Serves one connection in a thread, then ends it; a context manager.

    Args:
        script: steps, in order.
        extensions: what it answers to an offer of extensions.
        accept: its Sec-WebSocket-Accept, if not the right one.
        early: octets that it sends right behind its response head.
    """

    def __init__(self, script, extensions: str = "", accept: str = "", early: bytes = b"") -> None:
        self._script, self._extensions, self._wrong_accept = script, extensions, accept
        self._early = early
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with sock:
            sock.settimeout(PATIENCE_S)
            self._shake_hands(sock)
            try:
                for step in self._script:
                    self._do(sock, step)
            except ConnectionError:
                return  # the client has seen enough

    def _do(self, sock: socket.socket, step) -> None:
        match step:
            case Say(octets):
                sock.sendall(octets)
            case Hear(None):
                while sock.recv(1 << 16):
                    pass
            case Hear(count):
                for _ in range(count):
                    self._read_frame(sock)
            case Reset():
                no_linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)

    def _shake_hands(self, sock: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(4096)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]
        accept = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {self._wrong_accept or accept}"]
        if self._extensions:
            lines += [f"Sec-WebSocket-Extensions: {self._extensions}"]
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + self._early)

    def _read_frame(self, sock: socket.socket) -> None:
        size = self._read(sock, 2)[1] & 127
        if size > 125:
            size = int.from_bytes(self._read(sock, 2 if size == 126 else 8), "big")
        self._read(sock, 4 + size)

    def _read(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = sock.recv(size - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data
