"""Connections that are kept and say nothing: opened, one request each, then silence."""

from __future__ import annotations

import contextlib
import errno
import resource
import select
import socket
import time
from typing import TYPE_CHECKING, Final

from benchmarks.running import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cases import Case

AT_ONCE: Final = 256  # in the making, less than any server's accept queue
PATIENCE_S: Final = 60.0
SPARE_FILES: Final = 500  # descriptors that a process has beside its connections


def allow(connections: int) -> None:
    """Raise the limit of open files, of this process and of the servers that it starts.

    Raises:
        Failed: the limit cannot be raised that far.
    """
    wanted = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError) as error:
        raise Failed(f"{wanted} open files are needed, {hard} are allowed: ulimit -n") from error


class Client:
    """Opens connections, a few at a time, and keeps each that was answered."""

    def __init__(self, port: int, request: bytes, answer: bytes) -> None:
        self._address = ("127.0.0.1", port)
        self._request = request
        self._answer = answer
        self._epoll = select.epoll()
        self._opening: dict[int, tuple[socket.socket, bytes]] = {}
        self.kept: list[socket.socket] = []

    def open(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(self.kept) < count:
            while len(self._opening) < AT_ONCE and len(self.kept) + len(self._opening) < count:
                self._start()
            for fd, events in self._epoll.poll(1.0):
                self._go_on(fd, events)
            if time.monotonic() > deadline:
                raise Failed(f"keeps {len(self.kept)} of {count} connections")

    def close(self) -> None:
        for peer in (*self.kept, *(peer for peer, _ in self._opening.values())):
            peer.close()
        self._epoll.close()

    def lost(self) -> int:
        """How many of those that were kept have been closed by the server."""
        return sum(map(is_closed, self.kept))

    def _start(self) -> None:
        peer = socket.socket()
        peer.setblocking(False)
        if peer.connect_ex(self._address) not in {0, errno.EINPROGRESS}:
            peer.close()
            raise Failed("refuses connections")
        self._opening[peer.fileno()] = peer, b""
        self._epoll.register(peer, select.EPOLLOUT)

    def _go_on(self, fd: int, events: int) -> None:
        peer, heard = self._opening[fd]
        try:
            if events & select.EPOLLOUT:
                peer.sendall(self._request)
                self._epoll.modify(fd, select.EPOLLIN)
                return
            data = peer.recv(4096)
        except OSError as error:
            raise Failed(f"connection {len(self.kept) + 1}: {error}") from error
        if not data:
            raise Failed(f"closed connection {len(self.kept) + 1} without a whole answer")
        heard += data
        self._opening[fd] = peer, heard
        if self._answer in heard:
            self._epoll.unregister(fd)
            self.kept.append(peer)
            del self._opening[fd]


def is_closed(peer: socket.socket) -> bool:
    try:
        return not peer.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextlib.contextmanager
def held(case: Case, port: int, count: int) -> Iterator[Client]:
    """So many connections, each answered once, and open until the end."""
    request = f"GET {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    client = Client(port, request, case.answer)
    try:
        client.open(count)
        yield client
    finally:
        client.close()
