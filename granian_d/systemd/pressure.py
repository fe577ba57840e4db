"""Memory pressure, as the service manager has us watch it ($MEMORY_PRESSURE_WATCH, systemd 254).

The kernel (PSI, cgroup v2) tells when processes of the service have waited for memory for longer
than the manager allows; MemoryPressureThresholdSec= of the unit says how long.
"""

from __future__ import annotations

import binascii
import os
import select
import socket
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WATCH: Final = "MEMORY_PRESSURE_WATCH"
WRITE: Final = "MEMORY_PRESSURE_WRITE"
_AT_ONCE: Final = 4096  # octets


class Pressure:
    """One descriptor that is readable when memory is short.

    Args:
        environ: with WATCH; WRITE, in base64, is what the kernel is asked for.

    Raises:
        OSError: what is named there cannot be watched.
        ValueError: WRITE is not base64.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        asked = binascii.a2b_base64(environ.get(WRITE, ""), strict_mode=True)
        self._fd, events = _open(environ[WATCH])
        # The kernel's file is ready by EPOLLPRI, which selectors do not know; an epoll(7) within
        # theirs is readable when it is.
        self._epoll = select.epoll()
        try:
            if asked:
                os.write(self._fd, asked)
            self._epoll.register(self._fd, events)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The one descriptor to watch."""
        return self._epoll.fileno()

    def hear(self) -> bool:
        """It was readable; False when nothing more will come."""
        try:
            over = os.read(self._fd, _AT_ONCE) == b""
        except OSError:  # a file of the kernel has nothing to read, or there is no more
            return True
        regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        return regular or not over

    def close(self) -> None:
        """Watch no more."""
        self._epoll.close()
        with suppress(OSError):
            os.close(self._fd)


def _open(path: str) -> tuple[int, int]:
    """A descriptor, and the events of it that tell of pressure."""
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    kind = os.stat(path).st_mode
    if stat.S_ISREG(kind):
        return os.open(path, flags), select.EPOLLPRI
    if stat.S_ISFIFO(kind):
        return os.open(path, flags), select.EPOLLIN
    if stat.S_ISSOCK(kind):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            peer.setblocking(False)
            return peer.detach(), select.EPOLLIN
    raise OSError(f"{path} is nothing that tells of memory pressure")
