"""sd_notify(3): what the master tells the service manager.

Each method is one datagram. Keys that belong together (RELOADING and MONOTONIC_USEC) share it:
without the stamp in the same message, Type=notify-reload waits for its timeout.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

import sdnotify

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """The notification socket, or nothing where there is none."""

    __slots__ = ("_address", "_failure", "_link", "_status", "_told", "watchdog_s")

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        """Read the manager's variables and forget them, so that no child speaks in our name."""
        self._status = ""
        self._failure = ""
        self._told = False  # the failure has been taken since the last success
        self.watchdog_s = _watchdog_s(environ, pid)
        self._address = environ.get("NOTIFY_SOCKET", "")
        for name in VARIABLES:
            environ.pop(name, None)
        self._link: sdnotify.SystemdNotifier | None = None
        self._connect()

    @property
    def is_addressed(self) -> bool:
        """There is a manager to tell."""
        return bool(self._address)

    def variables(self, pid: int) -> dict[str, str]:
        """What the manager's variables were, for this process' next program."""
        if not self._address:
            return {}
        given = {"NOTIFY_SOCKET": self._address}
        if self.watchdog_s:
            given["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
            given["WATCHDOG_PID"] = str(pid)
        return given

    def take_failure(self) -> str:
        """Why the manager cannot be told; "" when it can, or when that was said already."""
        if self._told:
            return ""
        self._told = bool(self._failure)
        return self._failure

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is done (a failed reload too: there is no other word for it)."""
        self._status = status
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self) -> None:
        """A reload begins."""
        stamp_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={stamp_us}")

    def stopping(self, status: str) -> None:
        """The end begins; the first thing said of it."""
        self._status = status
        self._send(f"STOPPING=1\nSTATUS={_one_line(status)}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; sent only when it says something new."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={_one_line(text)}")

    def alive(self) -> None:
        """Feed the watchdog, if there is one."""
        if self.watchdog_s:
            self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Ask for `seconds` more, from now, before a start, reload or stop counts as failed."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def keep(self, name: str, fd: int) -> bool:
        """Have a descriptor stored under a name; False when the manager does not read now."""
        return self._pass(f"FDSTORE=1\nFDNAME={name}", [fd])

    def drop(self, name: str) -> bool:
        """Have what is stored under a name forgotten; False when the manager does not read now."""
        return self._pass(f"FDSTOREREMOVE=1\nFDNAME={name}", [])

    def close(self) -> None:
        """Let go of the socket (in a child, which must not speak in the master's name)."""
        self._address = ""
        if self._link is not None:
            self._link.socket.close()
            self._link = None

    def _connect(self) -> None:
        if not self._address:
            return
        os.environ["NOTIFY_SOCKET"] = self._address  # the only way to tell sdnotify
        try:
            self._link = sdnotify.SystemdNotifier(debug=True)
            # The master must not wait for a manager that does not read.
            self._link.socket.setblocking(False)
            self._failure, self._told = "", False
        except OSError as error:
            self._link, self._failure = None, str(error)
        finally:
            os.environ.pop("NOTIFY_SOCKET", None)

    def _send(self, message: str) -> None:
        """Send one datagram; a manager that was replaced since is connected to anew."""
        # sdnotify encodes Latin-1; what is read there as such are the bytes of UTF-8.
        octets = message.encode("utf-8", "backslashreplace").decode("latin-1")
        if not self._attempt(octets):
            self._connect()
            self._attempt(octets)

    def _pass(self, message: str, fds: Sequence[int]) -> bool:
        """Send a datagram with descriptors, for which sdnotify has no call; True when it went, or
        when there is nobody to send it to.
        """
        for _ in range(2):
            if self._link is not None:
                try:
                    socket.send_fds(self._link.socket, [message.encode("ascii")], fds)
                except BlockingIOError:
                    return False
                except OSError as error:
                    self._failure = str(error)
                    self._link.socket.close()
                    self._link = None
                else:
                    return True
            self._connect()
        return not self._address

    def _attempt(self, octets: str) -> bool:
        if self._link is None:
            return not self._address
        try:
            self._link.notify(octets)
        except BlockingIOError:
            return True  # it is there and does not read: told again with the next status
        except OSError as error:
            self._failure = str(error)
            self._link.socket.close()
            self._link = None
            return False
        return True


def _one_line(text: str) -> str:
    """A status must not end its assignment early: what follows would be another one."""
    return "".join(char if char.isprintable() else " " for char in text)


def _watchdog_s(environ: MutableMapping[str, str], pid: int) -> float:
    """WATCHDOG_USEC in seconds, 0.0 if the manager does not watch this process."""
    value = environ.get("WATCHDOG_USEC", "")
    if not value.isascii() or not value.isdigit():
        return 0.0
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    return int(value) / 1e6
