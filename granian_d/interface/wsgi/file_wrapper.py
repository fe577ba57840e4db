"""`wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling")."""

from __future__ import annotations

import io
import os
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple

from granian_d.errors import InvalidResponse
from granian_d.interface.files import OpenFile
from granian_d.interface.wsgi.ends import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.http.exchange import Exchange

_DEFAULT_BLOCK_BYTES = 64 * 1024
_BUFFERED = (io.BufferedReader, io.BufferedRandom)


class FileWrapper:
    """An iterable over the blocks of a file-like object."""

    def __init__(self, filelike: Any, block_size: int = _DEFAULT_BLOCK_BYTES) -> None:
        self.filelike = filelike
        self.block_size = block_size
        close = getattr(filelike, "close", None)
        if close is not None:
            self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block


class FilePart(NamedTuple):
    """The rest of a regular file, from where the application left it."""

    file: OpenFile
    offset: int
    length: int


class FileSending:
    """A file on its way, as the rest of a response that has been started. On the loop's thread."""

    __slots__ = ("_exchange", "_part")

    def __init__(self, exchange: Exchange, part: FilePart) -> None:
        self._exchange = exchange
        self._part = part

    def begin(self) -> None:
        """Send it; closed at the end, whatever the end is. Never raises."""
        part = self._part
        try:
            self._exchange.send_file(part.file.fd, part.offset, part.length, self._done)
        except Exception as error:  # noqa: BLE001 - judged in `refused`
            part.file.close()
            refused(self._exchange, error)

    def _done(self, complete: bool) -> None:
        part = self._part
        if not complete:
            part.file.look()
            if part.file.size_bytes < part.offset + part.length:
                error = InvalidResponse("a file became shorter while it was sent")
                self._exchange.observer.crashed(self._exchange, error)
        part.file.close()


def plain_file(wrapper: FileWrapper) -> FilePart | None:
    """The file behind `wrapper`, None when it is something else and must be read block by block.

    The descriptor is a duplicate: the application may close its own before the last byte is
    sent, and the thread that serves it need not wait for that.
    """
    file = _buffered_file(wrapper.filelike)
    if file is None:
        return None
    try:
        file.flush()
        offset = file.tell()
        fd = file.fileno()
        status = os.fstat(fd)
    except (OSError, ValueError):  # closed, or not seekable
        return None
    if not S_ISREG(status.st_mode):
        return None
    size_bytes = status.st_size
    return FilePart(OpenFile(os.dup(fd), size_bytes), offset, max(0, size_bytes - offset))


def _buffered_file(filelike: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """The object of the io module behind `filelike` that reads a file just as it is.

    Having a `fileno` is not enough: that of a GzipFile is the compressed file's.
    """
    # Temporary files and the file classes of frameworks keep the real one in `file`.
    for file in (filelike, getattr(filelike, "file", None)):
        if type(file) is io.FileIO:
            return file
        if isinstance(file, _BUFFERED) and type(file.raw) is io.FileIO:
            return file
    return None
