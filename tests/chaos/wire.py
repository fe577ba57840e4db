"""Connections of the clients, without a library in between: what the kernel says is what is told.

One thread, one epoll. A library's pool, retry or buffer would hide what this harness looks for, and
cost the processor time that the daemon shall have.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 1 << 16
FULL_QUEUE_S = 0.005
STEPS_KEPT = 12  # of a connection's story, told with a loss


class Reactor:
    """Who waits for which descriptor, and for what time."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.heard: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def watch(self, fd: int, events: int, heard: Callable[[int], None]) -> None:
        self.epoll.register(fd, events)
        self.heard[fd] = heard

    def forget(self, fd: int) -> None:
        if self.heard.pop(fd, None) is not None:
            self.epoll.unregister(fd)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), act))

    def turn(self, timeout_s: float) -> None:
        """Wait that long at most, and let those act whose turn it is."""
        if self._timers:
            timeout_s = min(timeout_s, max(0.0, self._timers[0][0] - time.monotonic()))
        for fd, events in self.epoll.poll(timeout_s):
            heard = self.heard.get(fd)
            if heard is not None:
                heard(events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()


class Wire:
    """One connection. What speaks on it says what octets and the end of it mean.

    Attributes:
        port: our own port, by which the server's end can be found; 0 on a unix socket.
        pid: of the worker that answered last.
        since: when it was dialled.
    """

    receive_bytes = 0  # SO_RCVBUF, where it is to be small

    def __init__(self, reactor: Reactor, address: tuple[str, int] | str) -> None:
        self._reactor = reactor
        self.address = address
        self.port = self.pid = 0
        self.since = time.monotonic()
        self.story: deque[str] = deque(maxlen=STEPS_KEPT)
        self.open = True
        self._out = bytearray()
        self._events = select.EPOLLIN
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if self.receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)

    # --- what is made of it ---------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        raise NotImplementedError

    def ended(self, how: str) -> None:
        """The peer or the kernel has ended it: "closed", or the name of an error."""
        raise NotImplementedError

    # --- the socket -----------------------------------------------------------------------------

    def tell(self, step: str) -> None:
        self.story.append(f"{time.monotonic():.4f} {step}")

    def dial(self) -> None:
        code = self.sock.connect_ex(self.address)
        if code == errno.EAGAIN:  # unix(7): the queue is full; who may block would wait
            self._reactor.later(FULL_QUEUE_S, self.dial)
            return
        if code not in (0, errno.EINPROGRESS):
            self._end(f"connect {errno.errorcode[code]}")
            return
        if self.sock.family == socket.AF_INET:
            self.port = self.sock.getsockname()[1]
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tell("dialled")
        self._reactor.watch(self.sock.fileno(), self._events, self._heard)

    def say(self, data: bytes) -> None:
        if self.open:
            self._out += data
            self._flush()

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._want(self._events & ~select.EPOLLIN)

    def resume(self) -> None:
        self._want(self._events | select.EPOLLIN)

    def read(self, size: int = READ_BYTES) -> bool:
        """Take what has come; False when nothing has."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(errno.errorcode[error.errno or 0])
            return True
        if data:
            self.tell(f"got {len(data)}")
            self.hear(data)
        else:
            self._end("closed")
        return True

    def close(self) -> None:
        """We end it."""
        if self.open:
            self.open = False
            self._reactor.forget(self.sock.fileno())
            self.sock.close()

    def _heard(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if self.open and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self.read()

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self.sock.send(self._out, socket.MSG_NOSIGNAL)
                self.tell(f"sent {sent}")
                del self._out[:sent]
        except BlockingIOError:
            self._want(self._events | select.EPOLLOUT)
            return
        except OSError as error:
            self._broken(error)
            return
        self._want(self._events & ~select.EPOLLOUT)

    def _broken(self, error: OSError) -> None:
        """Nothing can be sent. What the server has said before it closed can still be read."""
        name = errno.errorcode[error.errno or 0]
        self.tell(f"send {name}")
        self._out.clear()
        while self.open:
            if not self.read():
                self._end(name)

    def _want(self, events: int) -> None:
        if self.open and events != self._events:
            self._events = events
            self._reactor.epoll.modify(self.sock.fileno(), events)

    def _end(self, how: str) -> None:
        if self.open:
            self.tell(how)
            self.close()
            self.ended(how)


def local_clock() -> str:
    """CLOCK_MONOTONIC and the time of day, so that stories can be laid beside logs."""
    return f"{time.monotonic():.4f} is {time.strftime('%H:%M:%S')} (pid {os.getpid()})"
