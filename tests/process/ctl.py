"""granianctl, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.process.daemon import PATIENCE_S


class Ctl:
    """granianctl as a unit of the daemon would start it."""

    def __init__(self, runtime: str) -> None:
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "RUNTIME_DIRECTORY": runtime,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "granian_d.cli.granianctl", *words],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit status, output, errors."""
        return ended(self.start(*words))

    def status(self) -> dict:
        code, out, err = self("status", "--json")
        assert (code, err) == (0, "")
        return json.loads(out)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"granianctl does not end: {process.communicate()}") from None
    return process.returncode, out, err
