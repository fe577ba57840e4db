"""The clients, as their parent sees them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACE = {"kept": 1450.0, "new": 250.0, "h2": 600.0, "websocket": 250.0}  # requests a second
SIZE = {"kept": 32, "seldom": 12, "new": 48, "h2": 3, "websocket": 8, "upload": 4, "reader": 3}
# What is asked for lightly holds no reload up: nobody reads or uploads slowly, nobody converses.
LIGHT_PACE = {"kept": 40.0, "new": 30.0, "h2": 30.0, "websocket": 0.0}
LIGHT_SIZE = {"kept": 4, "seldom": 0, "new": 8, "h2": 1, "websocket": 0, "upload": 0, "reader": 0}
LEAVING_S = 60.0


class Load:
    """Keeps all kinds of clients busy until it is left; then `result` holds what they saw.

    Args:
        address: ("host", port) or the path of a unix socket.
        light: a few requests only.
    """

    def __init__(self, address: tuple[str, int] | str, *, light: bool = False) -> None:
        terms = [address, LIGHT_PACE, LIGHT_SIZE] if light else [address, PACE, SIZE]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.clients", json.dumps(terms)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.result: dict[str, Any] = {}
        self.seconds = 0.0

    def __enter__(self) -> Load:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "busy\n"
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self.asked = sum(self._command("stop")["answered"].values())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Not `communicate`: the line may be in the buffer of `stdout` by now.
        self.result = json.loads(self._process.stdout.readline())
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(LEAVING_S)

    # --- while they are busy ----------------------------------------------------------------------

    @property
    def answered(self) -> int:
        return sum(self._command("count")["answered"].values())

    @property
    def lost(self) -> int:
        return self._command("count")["lost_count"]

    @property
    def versions(self) -> set[str]:
        """Of the application, that have answered."""
        return set(self._command("count")["versions"])

    def more(self, count: int) -> None:
        """Return when so many more requests have been answered."""
        wanted = self.answered + count
        end = time.monotonic() + LEAVING_S
        while self.answered < wanted:
            assert time.monotonic() < end, "the clients get no answers"
            time.sleep(0.01)

    def lose(self, count: int) -> None:
        """Return when so many requests have been lost."""
        end = time.monotonic() + LEAVING_S
        while self.lost < count:
            assert time.monotonic() < end, "the clients lose nothing"
            time.sleep(0.01)

    def longest(self) -> dict[str, float]:
        """The longest waits by kind since the last time that this was asked, in seconds."""
        return self._command("longest")

    def listen(self, address: tuple[str, int] | str) -> None:
        """New connections go to that address, too."""
        self._command("listen", address=address)

    def leave(self, address: tuple[str, int] | str) -> None:
        """No new connections to that address."""
        self._command("leave", address=address)

    def _command(self, do: str, **more) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the clients have ended"
        return json.loads(line)
