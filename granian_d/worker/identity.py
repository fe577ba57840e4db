"""Becoming the user that the application runs as; whose child one is, and dying with the master."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from granian_d.worker.libc import prctl

if TYPE_CHECKING:
    from granian_d.plan import Identity

# Options of prctl(2):
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36


def become(identity: Identity) -> None:
    """Drop to the plan's group, user and umask; in that order, for good.

    Raises:
        OSError: the kernel refuses.
    """
    if identity.umask is not None:
        os.umask(identity.umask)
    if identity.gid is not None:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
    if identity.uid is not None:
        os.setresuid(identity.uid, identity.uid, identity.uid)
        os.environ.update(USER=identity.user, LOGNAME=identity.user, HOME=identity.home)


def die_with(master_pid: int) -> bool:
    """Have the kernel kill this process when the master dies, however it dies.

    To be called after `become`: the kernel forgets it when the identity changes. Until the call
    the channel to the master tells, afterwards nothing is needed of this process any more.

    Returns:
        False when the master is dead already.
    """
    prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    return os.getppid() == master_pid


def adopt_orphans() -> None:
    """Have descendants of this process become its children when their parents end.

    Raises:
        OSError: the kernel refuses.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
