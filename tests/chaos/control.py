"""A daemon that is asked by granianctl."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

from tests.process.daemon import PATIENCE_S, Daemon

SOCKET = "control.sock"


class Answer(NamedTuple):
    """What granianctl has said, and its exit status."""

    code: int
    text: str


class Asked:
    """granianctl, under way."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> Answer:
        text, _ = self._process.communicate(timeout=PATIENCE_S)
        return Answer(self._process.returncode, text)


class ControlledDaemon(Daemon):
    """As Daemon, with a control socket in its directory."""

    def ask(self, *words: str) -> Asked:
        """Run granianctl."""
        command = [sys.executable, "-m", "granian_d.cli.granianctl", *words]
        return Asked([*command, "--socket", str(self.directory / SOCKET)])
