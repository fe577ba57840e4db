"""The pid file, for those who are not systemd: written once, removed only while it is ours."""

from __future__ import annotations

import os
import stat

from granian_d.errors import PidFileError


def write(path: str, pid: int) -> None:
    """Write `pid` to `path`; "" writes nothing. A stale file is replaced.

    Raises:
        PidFileError: the file names a living process, is not a pid file, or cannot be written.
    """
    if not path:
        return
    other = _read(path)
    if other and other != pid and os.path.exists(f"/proc/{other}"):
        raise PidFileError(f"pid_file {path}: process {other} runs already")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_NONBLOCK, 0o644)
        with os.fdopen(fd, "w") as file:
            file.write(f"{pid}\n")
    except OSError as error:
        raise PidFileError(f"pid_file {path}: {error.strerror}") from error


def remove(path: str, pid: int) -> None:
    """Remove the file if it still holds `pid`."""
    try:
        if path and _read(path) == pid:
            os.unlink(path)
    except (OSError, PidFileError):
        return  # it has become somebody else's, or the directory has gone: nothing of ours is left


def _read(path: str) -> int:
    """The pid in the file, 0 when there is none."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise PidFileError(f"pid_file {path}: it is not a regular file")
        with open(path, "rb") as file:
            text = file.read(32)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise PidFileError(f"pid_file {path}: {error.strerror}") from error
    if not text.strip():
        return 0
    if not text.strip().isdigit():
        raise PidFileError(f"pid_file {path}: exists and does not hold a process id")
    return int(text)
