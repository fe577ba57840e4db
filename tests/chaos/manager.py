"""A daemon whose service manager keeps descriptors (sd_notify(3): FDSTORE), and control over it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from typing import NamedTuple

from tests.process.daemon import PATIENCE_S, Daemon

MOST_FDS = 64  # of one message
MESSAGE_BYTES = 1 << 16
SOCKET = "control.sock"


class Kept(NamedTuple):
    """A descriptor of the store; passed on as a socket would be."""

    name: str
    fd: int

    def fileno(self) -> int:
        return self.fd


class Control(NamedTuple):
    """What granianctl has said, and its exit status."""

    code: int
    text: str


class ManagedDaemon(Daemon):
    """As Daemon; what it stores is passed to the next `start`."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.store: list[Kept] = []

    def start(self) -> Daemon:
        self.sockets = {kept.name: kept for kept in self.store}
        return super().start()

    def close(self) -> None:
        super().close()
        for kept in self.store:
            os.close(kept.fd)
        self.store.clear()

    def notifications(self) -> None:
        while select.select([self._notify], [], [], 0)[0]:
            data, fds, _, _ = socket.recv_fds(self._notify, MESSAGE_BYTES, MOST_FDS)
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            name = message.get("FDNAME", "stored")
            if "FDSTOREREMOVE" in message:
                self._remove(name)
            for fd in fds:
                if "FDSTORE" in message and name not in [kept.name for kept in self.store]:
                    self.store.append(Kept(name, fd))
                else:
                    os.close(fd)
            self.messages.append(message)

    def restart(self) -> None:
        """Start it again, with what is in the store, and wait until it serves."""
        self.notifications()
        since = len(self.messages)
        self.start()
        self.wait_for("READY=1", since)

    def control(self, *words: str) -> Control:
        """Run granianctl."""
        command = [sys.executable, "-m", "granian_d.cli.granianctl", *words]
        command += ["--socket", str(self.directory / SOCKET)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return Control(done.returncode, done.stdout + done.stderr)

    def _remove(self, name: str) -> None:
        for kept in [kept for kept in self.store if kept.name == name]:
            os.close(kept.fd)
            self.store.remove(kept)
