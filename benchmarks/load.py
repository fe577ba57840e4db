"""Load by wrk, and what it counted."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.running import Failed
from benchmarks.servers import ROOT

if TYPE_CHECKING:
    from benchmarks.cases import Case


@dataclass(frozen=True)
class Load:
    """One run of wrk. `errors` are its socket errors and the answers above 399."""

    requests: int
    spent_us: int
    p50_us: int
    p99_us: int
    errors: int

    @property
    def rate(self) -> float:
        return self.requests / self.spent_us * 1e6


def drive(case: Case, port: int, seconds: int, cpus: str) -> Load:
    """Let wrk ask for that long, with one thread on these CPUs.

    Raises:
        Failed: wrk came to nothing, or no request was answered.
    """
    command = [
        *("taskset", "--cpu-list", cpus, "wrk", "--threads", "1"),
        *("--connections", str(case.connections), "--duration", f"{seconds}s"),
        *("--script", f"benchmarks/wrk/{case.script}", f"http://127.0.0.1:{port}{case.path}"),
    ]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 30, check=True
        )
        counted: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise Failed(f"wrk: {error.stderr.strip()}") from error
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise Failed(f"wrk: {error}") from error
    if not counted["requests"]:
        raise Failed("no request was answered")
    errors = sum(counted[kind] for kind in ("connect", "read", "write", "timeout", "status"))
    return Load(
        counted["requests"], counted["spent_us"], counted["p50_us"], counted["p99_us"], errors
    )
