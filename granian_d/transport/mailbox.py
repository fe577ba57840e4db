"""Datagrams that another worker has read: from mailbox to mailbox, under a key that all have.

    frame   tag (16 octets: keyed BLAKE2b of the rest), seat it is for (2), socket, path, datagrams
    socket  length (1), name of the socket that has read them
    path    length (1), our address, the peer's: text, parted by NUL
    each    length (2), octets

A mailbox is an abstract unix socket: everybody on the machine may write there, so what has no tag
of ours is dropped without a word. So is what does not fit into the other's queue: QUIC repairs it.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from granian_d.engine.connection_ids import derive, mailbox
from granian_d.engine.datagrams import Path
from granian_d.transport.datagrams import SEND_BYTES, grow

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator

    from granian_d.transport.udp import UdpSocket

TAG_BYTES: Final = 16
# Workers of another release may have the same key, and other frames: then this number is another.
_FORMAT: Final = "relayed datagrams, 1"
SHARE: Final = 4  # frames a turn: with the most that is in one, about what a socket's share is
# A frame is closed when it has so much: the kernel has room for few frames (10 where nobody has
# changed net.unix.max_dgram_qlen), and finds memory for larger ones less easily.
FRAME_BYTES: Final = 32768
MOST_FRAME_BYTES: Final = FRAME_BYTES + 65536 + 1024  # with the last datagram, and what is before

_HEAD: Final = struct.Struct("!H")
_LENGTH: Final = struct.Struct("!H")

Origin = tuple[bytes, Path]  # name of a socket, path


class Mailbox:
    """A worker's.

    Args:
        loop: turns for it.
        sock: bound, non-blocking; closed with this.
        seat: its number.
        key: the daemon's QUIC key.
    """

    __slots__ = ("_key", "_loop", "_pending", "_seat", "_secret", "_sock", "_sockets")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, seat: int, key: bytes
    ) -> None:
        grow(
            sock, socket.SO_SNDBUF, SEND_BYTES
        )  # frames that nobody has read count as the sender's
        self._loop = loop
        self._sock = sock
        self._seat = seat
        self._key = key
        self._secret = derive(key, _FORMAT, 32)
        self._pending: dict[tuple[int, Origin], list[bytes]] = {}
        self._sockets: dict[bytes, UdpSocket] = {}

    def open(self, sockets: Iterable[UdpSocket]) -> None:
        """Feed what comes to that of these sockets whose name another worker's has."""
        self._sockets = {one.name: one for one in sockets}
        self._loop.add_reader(self._sock.fileno(), self._read)

    def close(self) -> None:
        """Nothing comes any more."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def put(self, seat: int, origin: Origin, datagram: bytes) -> None:
        """Keep a datagram for the worker of another seat, until `flush`."""
        self._pending.setdefault((seat, origin), []).append(datagram)

    def flush(self) -> None:
        """Send what is kept; what its mailbox does not take now is lost."""
        pending, self._pending = self._pending, {}
        for (seat, origin), datagrams in pending.items():
            for frame in self._frames(seat, origin, datagrams):
                try:
                    self._sock.sendto(frame, mailbox(self._key, seat))
                except OSError:
                    break  # nobody has that seat now, or its queue is full

    def _read(self) -> None:
        for _ in range(SHARE):
            try:
                frame = self._sock.recv(MOST_FRAME_BYTES)
            except OSError:
                return  # there is no more
            if (opened := self._opened(frame)) is not None:
                (name, path), datagrams = opened
                if (reader := self._sockets.get(name)) is not None:
                    reader.feed_relayed(path, datagrams)

    def _frames(self, seat: int, origin: Origin, datagrams: list[bytes]) -> Iterator[bytes]:
        """Datagrams of one path, in as many frames as they take."""
        name, path = origin
        text = _path_text(path)
        head = b"".join((_HEAD.pack(seat), bytes((len(name),)), name, bytes((len(text),)), text))
        parts, size = [head], 0
        for datagram in datagrams:
            parts += (_LENGTH.pack(len(datagram)), datagram)
            size += len(datagram)
            if size > FRAME_BYTES:
                yield self._sealed(parts)
                parts, size = [head], 0
        if size:
            yield self._sealed(parts)

    def _sealed(self, parts: list[bytes]) -> bytes:
        content = b"".join(parts)
        return self._tag(content) + content

    def _tag(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=TAG_BYTES, key=self._secret).digest()

    def _opened(self, frame: bytes) -> tuple[Origin, list[bytes]] | None:
        """What is in a frame; None if it is not one of ours, or not for this worker."""
        content = frame[TAG_BYTES:]
        if not hmac.compare_digest(frame[:TAG_BYTES], self._tag(content)):
            return None
        (seat,) = _HEAD.unpack_from(content)
        if seat != self._seat:
            return None
        name, at = _string(content, _HEAD.size)
        text, at = _string(content, at)
        datagrams = []
        while at < len(content):
            (size,) = _LENGTH.unpack_from(content, at)
            at += _LENGTH.size + size
            datagrams.append(content[at - size : at])
        return (name, _path_of(text)), datagrams


def _string(content: bytes, at: int) -> tuple[bytes, int]:
    """A short string, and where it ends."""
    end = at + 1 + content[at]
    return content[at + 1 : end], end


@lru_cache(maxsize=256)
def _path_text(path: Path) -> bytes:
    return "\0".join((path.local, path.peer[0], *map(str, path.peer[1:]))).encode()


@lru_cache(maxsize=256)
def _path_of(text: bytes) -> Path:
    local, host, *numbers = text.decode().split("\0")
    return Path((host, *map(int, numbers)), local)
