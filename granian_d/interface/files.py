"""Files that an application names for the body of its response."""

from __future__ import annotations

import os
from errno import EINVAL
from stat import S_ISREG

# O_NONBLOCK: opening a FIFO must not hold the loop up until somebody writes to it.
# O_NOCTTY: opening a terminal must not make it ours.
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class OpenFile:
    """A regular file, open for reading until it is closed.

    Args:
        fd: its descriptor, which is ours from now on.
        size_bytes: its size when somebody last looked.
    """

    __slots__ = ("fd", "size_bytes")

    def __init__(self, fd: int, size_bytes: int) -> None:
        self.fd = fd
        self.size_bytes = size_bytes

    def look(self) -> None:
        """Look at its size again."""
        self.size_bytes = os.fstat(self.fd).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from `offset` on, at most `count`; b"" behind the end."""
        return os.pread(self.fd, count, offset)

    def close(self) -> None:
        """Close it. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def open_regular(path: str) -> OpenFile:
    """Open a file whose bytes can be a body.

    Symbolic links are followed: the application chose the path. A FIFO, a device or a folder is
    refused: it has no size, or no end.

    Raises:
        OSError: there is no such file, it is not ours to read, or it is not a regular file.
        ValueError: there is a NUL in the path.
    """
    file = OpenFile(os.open(path, FLAGS), 0)
    try:
        status = os.fstat(file.fd)
        if not S_ISREG(status.st_mode):
            raise OSError(EINVAL, "Not a regular file", path)
    except BaseException:
        file.close()
        raise
    file.size_bytes = status.st_size
    return file
