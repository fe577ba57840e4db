"""Whether a LISTEN_PIDFDID means this process: process ids are used again, these never.

sd_listen_fds(3) since systemd 259: the id is the inode number of a pidfd, where pidfds have a file
system of their own (Linux 6.9).
"""

from __future__ import annotations

import os
import sys


def names_me(pidfdid: int) -> bool:
    """False when it is another process's. True also where this kernel tells no id."""
    own = own_id()
    return own is None or own == pidfdid


def own_id() -> int | None:
    """This process's id; None where the kernel tells none."""
    if sys.maxsize < 1 << 32:
        return None  # inode numbers have 32 bits there, ids have 64
    try:
        pidfd = os.pidfd_open(os.getpid())
    except OSError:
        return None
    try:
        status = os.fstat(pidfd)
    finally:
        os.close(pidfd)
    return None if status.st_dev == _anonymous_device() else status.st_ino


def _anonymous_device() -> int:
    """The device of descriptors without a file system, pidfds of old kernels among them."""
    fd = os.eventfd(0)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
