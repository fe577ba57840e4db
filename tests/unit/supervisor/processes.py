"""Processes for tests: what would spoil the test's own is done in a child of its own."""

from __future__ import annotations

import os
import select
import signal
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 20.0  # before something that should happen is given up; never a measure of it


def fork(work: Callable[[], object]) -> int:
    """Start `work` in a child, which ends with 0, or with 1 and a traceback; its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not return into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def status_of(pid: int) -> int:
    """The exit status of a child, minus the signal that killed it; waits for its end."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], PATIENCE_S)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_child(work: Callable[[], object]) -> int:
    """Run `work` in a child; its exit status."""
    return status_of(fork(work))


def open_fds() -> set[int]:
    """The descriptors of this process."""
    with os.scandir("/proc/self/fd") as entries:
        names = [int(entry.name) for entry in entries]
    return {fd for fd in names if os.path.lexists(f"/proc/self/fd/{fd}")}


@contextmanager
def must_not_hang(seconds: float = 5.0) -> Iterator[None]:
    """Fail when the block waits for something, instead of waiting along."""

    def ring(_number: int, _frame: object) -> None:
        raise AssertionError("it waits, and must not")

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)  # pytest-timeout's own
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
