"""Somebody at the control socket: one request of his, and what he is still to be told.

Never waited for: what he has not sent yet is read when it is there, what he has not read yet is
kept, up to a bound. Who passes one is `Lost`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from granian_d.control.wire import REQUEST_BYTES, Done, encode_answer
from granian_d.supervisor.roster import NEVER

if TYPE_CHECKING:
    from granian_d.control.wire import Answer

# What a caller may leave unread, beside what the kernel holds for him (net.core.wmem_default, some
# 200 KiB): the sentences of a long reload, and descriptors.
QUEUE_BYTES: Final = 1 << 18
QUEUE_ANSWERS: Final = 4096


class Lost(Exception):
    """He has gone, or keeps to no bound."""


class Caller:
    """One connection.

    Args:
        sock: its end that is ours.
        deadline: until then he must have asked.

    Attributes:
        pid, uid: of the process that connected (SO_PEERCRED, unix(7)).
        asks: he wants to wait for what is being decided on just now.
        awaited: the change that he waits for; None while he does not.
        deadline: when he is given up; NEVER while the master is to act.
        ended: he has been given his last answer, though perhaps not read it.
    """

    __slots__ = (
        "_buffer",
        "_queue",
        "_queued_bytes",
        "_socket",
        "asks",
        "awaited",
        "deadline",
        "ended",
        "pid",
        "uid",
    )

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._buffer = bytearray()
        self._queue: deque[tuple[bytes, int]] = deque()  # octets, and a descriptor (-1: none)
        self._queued_bytes = 0
        self.asks = False
        self.awaited: int | None = None
        self.deadline = deadline
        self.ended = False
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid, self.uid, _ = struct.unpack("3i", credentials)

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    @property
    def owed(self) -> bool:
        """There is something that he has not been sent yet."""
        return bool(self._queue)

    def read(self) -> bytes | None:
        """His request, once it is all there.

        Raises:
            Lost: he has gone, or sends what nobody asked for.
        """
        try:
            part = self._socket.recv(REQUEST_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Lost from error
        if not part or self.deadline == NEVER or self.ended:
            raise Lost
        self._buffer += part
        if len(self._buffer) > REQUEST_BYTES:
            raise Lost
        line, end, rest = bytes(self._buffer).partition(b"\n")
        if rest:
            raise Lost
        return line if end else None

    def tell(self, answer: Answer, fd: int = -1) -> None:
        """Send him an answer, now or when he reads; a descriptor with it becomes the caller's.

        Raises:
            Lost: he does not read.
        """
        line = encode_answer(answer)
        self._queue.append((line, fd))
        self._queued_bytes += len(line)
        self.ended = isinstance(answer, Done)
        self.flush()
        if self._queued_bytes > QUEUE_BYTES or len(self._queue) > QUEUE_ANSWERS:
            raise Lost

    def flush(self) -> None:
        """Send as much as goes.

        Raises:
            Lost: he has gone.
        """
        while self._queue:
            line, fd = self._queue[0]
            try:
                fds = [] if fd == -1 else [fd]
                sent = socket.send_fds(self._socket, [line], fds, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                raise Lost from error
            if fd != -1:
                os.close(fd)
            self._queued_bytes -= sent
            if sent < len(line):
                self._queue[0] = (line[sent:], -1)
            else:
                self._queue.popleft()

    def close(self) -> None:
        """Let him go, and all that he was owed."""
        for _, fd in self._queue:
            if fd != -1:
                os.close(fd)
        self._queue.clear()
        self._socket.close()
