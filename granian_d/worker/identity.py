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
# Of 1000, the whole of the memory: enough to come before the master, however large that is.
OOM_SCORE_MORE: Final = 200
OOM_SCORE_HIGHEST: Final = 1000


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


def yield_to_master() -> None:
    """When memory is short the kernel takes a worker, whom the master replaces, before the master.

    Whoever serves may raise this value without a privilege (proc(5), oom_score_adj).
    """
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            score = min(OOM_SCORE_HIGHEST, int(file.read()) + OOM_SCORE_MORE)
            file.write(b"%d" % score)
    except OSError:
        return  # no /proc, or not ours to write: the kernel judges by itself


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


def release_orphans() -> None:
    """Leave them to whoever else adopts them, init at the latest."""
    prctl(PR_SET_CHILD_SUBREAPER, 0)
