"""Where a run took place: machine, versions, date."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import granian_d
from benchmarks.servers import PYTHON, SEARCHED

OURS: Final = ("granian-d", "uvloop", "h11", "h2", "wsproto", "aioquic")
THEIRS: Final = (
    *("granian", "uvicorn", "hypercorn", "gunicorn", "gunicorn_h1c", "fastpysgi"),
    *("uvloop", "httptools", "h11", "h2", "websockets", "aioquic"),
)
TOOLS: Final = {"nginx": "-v", "wrk": "-v", "h2load": "--version"}  # and how each tells

NGTCP2: Final = Path("/usr/include/ngtcp2/version.h")  # of which h3_load is made

# Run by each virtual environment's own interpreter.
VERSIONS: Final = """
import json, platform, sys
from importlib import metadata

found = {"CPython": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def surroundings(rounds: int, seconds: int) -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "rounds": rounds,
        "seconds": seconds,
        "ours": versions(sys.executable, OURS) | {"compiled modules": compiled_modules()},
        "theirs": versions(PYTHON, THEIRS),
        "tools": {name: tool_version(name, flag) for name, flag in TOOLS.items()}
        | {"ngtcp2": header_version(NGTCP2)},
    }


def cpu_model() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.machine()


def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
    if not os.path.exists(python):
        return {}
    done = subprocess.run(
        [python, "-c", VERSIONS, *names], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def compiled_modules() -> str:
    """How many modules of granian-d are there as machine code."""
    return str(sum(1 for _ in Path(granian_d.__file__).parent.rglob("*.so")))


def header_version(path: Path) -> str:
    if not path.exists():
        return "missing"
    match = re.search(r'_VERSION "([0-9.]+)', path.read_text())
    return match[1] if match else "unknown"


def tool_version(name: str, flag: str) -> str:
    program = shutil.which(name, path=SEARCHED)
    if program is None:
        return "missing"
    # Each writes it to one of the two outputs, and wrk ends with 1.
    done = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    match = re.search(r"\d+\.\d+(?:\.\d+)?", done.stdout + done.stderr)
    return match[0] if match else "unknown"
