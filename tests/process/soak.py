"""Reloads under load, for as long as one likes: `make soak`.

For each set-up the daemon is reloaded without a pause while clients keep connections and open new
ones (tests/process/load.py). Prints one row of a table each; ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import granian_d
from tests.process.conftest import APPLICATION, CONFIG
from tests.process.daemon import Daemon
from tests.process.load import Load

SETUPS = ((1, ""), (4, ""), (4, "surge = 1"), (2, 'loop = "asyncio"'))


def soak(workers: int, more: str, seconds: float) -> tuple[str, bool]:
    """One row of the table, and whether nothing was lost."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "served.py").write_text(APPLICATION)
        config = CONFIG.format(workers=workers, more=more)
        with Daemon(Path(directory), config) as daemon:
            before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
            reloads, began = 0, time.monotonic()
            with Load(("127.0.0.1", daemon.port), keep=12, new=6, pause_s=0) as load:
                load.more()
                while time.monotonic() - began < seconds:
                    daemon.reload()
                    reloads += 1
            spent_s = time.monotonic() - began
            grown = len(os.listdir(f"/proc/{daemon.pid}/fd")) - before
    result = load.result
    rate = result["answered"] / spent_s
    figures = [reloads, result["answered"], result["connections"], f"{rate:.0f}"]
    row = [f"{workers} {more}".strip(), *figures, len(result["lost"]), grown]
    return "| " + " | ".join(map(str, row)) + " |", not result["lost"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=25.0, help="for each set-up")
    options = parser.parse_args()
    print(
        f"granian-d {granian_d.__version__}, CPython {platform.python_version()}, "
        f"Linux {platform.release()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    print("| workers | reloads | answers | connections | requests/s | lost | fds grown |")
    print("|---|---|---|---|---|---|---|")
    clean = True
    for workers, more in SETUPS:
        row, good = soak(workers, more, options.seconds)
        print(row, flush=True)
        clean = clean and good
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
