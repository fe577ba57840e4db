"""The calling process while it is the master: what is lent, and given back in the end."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from setproctitle import getproctitle, setproctitle

from granian_d.errors import DaemonError
from granian_d.supervisor.vocabulary import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_caller() -> None:
    """See that this process and thread can be the master.

    Raises:
        DaemonError: signals come to the main thread only, or a loop turns here.
    """
    if threading.current_thread() is not threading.main_thread():
        raise DaemonError("serve() is for the main thread: signals come to no other")
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
        raise DaemonError(
            "serve() forks, and cannot be called where an event loop runs;"
            " granian_d.server.embed.Server serves within a loop"
        )


@contextmanager
def lent() -> Iterator[None]:
    """Signal handlers, title and heap are the master's, and afterwards as they were."""
    numbers = [getattr(signal, f"SIG{name}") for name in (*SIGNALS, "CHLD")]
    handlers = {number: signal.getsignal(number) for number in numbers}
    wakeup = signal.set_wakeup_fd(-1)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    title = getproctitle()
    was_frozen = gc.get_freeze_count() > 0
    if handlers[signal.SIGCHLD] == signal.SIG_IGN:  # children would vanish unreaped
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # else it is none of Python's, and the master's stays
                signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        setproctitle(title)
        if not was_frozen:
            gc.unfreeze()
        gc.collect()  # what the master was made of holds descriptors
