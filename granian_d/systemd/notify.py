"""sd_notify(3): what the master tells the service manager.

Each method is one datagram. Keys that belong together (RELOADING and MONOTONIC_USEC) share it:
without the stamp in the same message, Type=notify-reload waits for its timeout.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import sdnotify

if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """The notification socket, or nothing where there is none."""

    __slots__ = ("_link", "_status", "failure", "watchdog_s")

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        """Read the manager's variables and forget them, so that no child speaks in our name."""
        self._status = ""
        self.failure = ""
        self.watchdog_s = _watchdog_s(environ, pid)
        self._link = None
        if environ.get("NOTIFY_SOCKET"):
            try:
                self._link = sdnotify.SystemdNotifier(debug=True)
                # The master must not wait for a manager that does not read.
                self._link.socket.setblocking(False)
            except OSError as error:
                self.failure = str(error)
        for name in VARIABLES:
            environ.pop(name, None)
        # sdnotify read the process's environment, which `environ` usually is.
        os.environ.pop("NOTIFY_SOCKET", None)

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is done (a failed reload too: there is no other word for it)."""
        self._status = status
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload begins."""
        stamp_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={stamp_us}")

    def stopping(self, status: str) -> None:
        """The end begins; the first thing said of it."""
        self._status = status
        self._send(f"STOPPING=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; sent only when it says something new."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog, if there is one."""
        if self.watchdog_s:
            self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Ask for `seconds` more, from now, before a start, reload or stop counts as failed."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def close(self) -> None:
        """Let go of the socket (in a child, which must not speak in the master's name)."""
        if self._link is not None:
            self._link.socket.close()
            self._link = None

    def _send(self, message: str) -> None:
        if self._link is None:
            return
        try:
            self._link.notify(message)
        except OSError as error:
            # A manager that is being re-executed comes back; what is lost is told again soon.
            self.failure = str(error)


def _watchdog_s(environ: MutableMapping[str, str], pid: int) -> float:
    """WATCHDOG_USEC in seconds, 0.0 if the manager does not watch this process."""
    value = environ.get("WATCHDOG_USEC", "")
    if not value.isascii() or not value.isdigit():
        return 0.0
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    return int(value) / 1e6
