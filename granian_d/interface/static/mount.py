"""One directory from which files are served: what is opened in it, and what never is.

Rules of this file: every file is judged by the descriptor that will be read, so nothing can be put
in its place between a look and the opening. Opening never waits for another process: of a FIFO
nobody's writing is waited for (O_NONBLOCK), and it is refused all the same.
"""

from __future__ import annotations

import os
from errno import (
    EACCES,
    EINVAL,
    ELOOP,
    ENAMETOOLONG,
    ENODEV,
    ENOENT,
    ENOTDIR,
    ENXIO,
    EPERM,
    EXDEV,
)
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Final

from granian_d.interface.files import FLAGS, OpenFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from granian_d.plan.model import SymlinkPolicy

# What a request can ask for and not get. What else an opening fails with is the machine's fault:
# no descriptors, no memory, a broken disk.
_NOT_HERE: Final = frozenset(
    (EACCES, EINVAL, ELOOP, ENAMETOOLONG, ENODEV, ENOENT, ENOTDIR, ENXIO, EPERM, EXDEV)
)

_STEP: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class NotHereError(Exception):
    """There is no file of that name that may be served; why is nobody's business."""


class FolderError(NotHereError):
    """It is a directory."""


class ServedFile(OpenFile):
    """A regular file of a mount.

    Attributes:
        modified_ns: when its content was changed last, in Unix time.
    """

    __slots__ = ("modified_ns",)

    def __init__(self, fd: int, size_bytes: int, modified_ns: int) -> None:
        super().__init__(fd, size_bytes)
        self.modified_ns = modified_ns


class Mount:
    """A directory.

    Args:
        directory: its absolute path. What it leads to is looked at anew for each file, so that
            a symbolic link or a directory may be replaced.
        symlinks: "off": no name below it may be a symbolic link; "inside": what a name leads to
            must be below it; "on": wherever the links lead.
    """

    __slots__ = ("_open", "_path", "_real")

    def __init__(self, directory: str, symlinks: SymlinkPolicy) -> None:
        self._path = os.fsencode(directory)
        self._real = b""  # where it really is, with a slash at its end
        self._open = {
            "off": self._open_without_links,
            "inside": self._open_inside,
            "on": self._open_any,
        }[symlinks]

    def open(self, names: Sequence[bytes]) -> ServedFile:
        """Open a file below the directory; the caller closes it.

        Args:
            names: judged (routes), none of them with a slash or a NUL.

        Raises:
            FolderError: it is a directory.
            NotHereError: there is no such file, or none that this process may read, or it is no
                regular one, or the way to it is not allowed.
            OSError: the machine is at its end.
        """
        try:
            fd = self._open(names)
        except OSError as error:
            if error.errno in _NOT_HERE:
                raise NotHereError from None
            raise
        facts = os.fstat(fd)
        if S_ISREG(facts.st_mode):
            return ServedFile(fd, facts.st_size, facts.st_mtime_ns)
        os.close(fd)
        raise FolderError if S_ISDIR(facts.st_mode) else NotHereError

    def _open_any(self, names: Sequence[bytes]) -> int:
        return os.open(b"/".join((self._path, *names)), FLAGS)

    def _open_inside(self, names: Sequence[bytes]) -> int:
        fd = self._open_any(names)
        try:
            place = os.readlink(b"/proc/self/fd/%d" % fd) + b"/"
            if not self._real or not place.startswith(self._real):
                # It is outside, or the directory is not where it was.
                self._real = os.path.realpath(self._path).rstrip(b"/") + b"/"
                if not place.startswith(self._real):
                    raise OSError(EXDEV, "Leads out of the mount")
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _open_without_links(self, names: Sequence[bytes]) -> int:
        if not names:
            return os.open(self._path, FLAGS)
        at = os.open(self._path, _STEP)
        try:
            for name in names[:-1]:
                below = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=at)
                os.close(at)
                at = below
            return os.open(names[-1], FLAGS | os.O_NOFOLLOW, dir_fd=at)
        finally:
            os.close(at)
