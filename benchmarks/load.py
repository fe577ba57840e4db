"""Load by wrk, h2load, h3_load or ws_load, and what it counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.running import Failed
from benchmarks.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.cases import Case, Protocol

BUILT: Final = ROOT / "build"
SOURCES: Final = ROOT / "benchmarks"
NGTCP2_PACKAGES: Final = "libngtcp2-dev libngtcp2-crypto-gnutls-dev libnghttp3-dev libgnutls28-dev"
UNITS_US: Final = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True)
class Load:
    """What one run of a load generator has counted.

    Attributes:
        errors: of sockets, and answers above 399.
        times_us: of a request, by the names of figures.
    """

    requests: int
    spent_us: float
    errors: int
    times_us: dict[str, float]

    @property
    def rate(self) -> float:
        return self.requests / self.spent_us * 1e6


def wrk(case: Case, port: int, seconds: int) -> list[str]:
    scheme = "https" if case.tls else "http"
    return [
        *("wrk", "--threads", "1", "--connections", str(case.connections)),
        *("--duration", f"{seconds}s", "--script", f"benchmarks/wrk/{case.script}"),
        f"{scheme}://127.0.0.1:{port}{case.path}",
    ]


def h2load(case: Case, port: int, seconds: int) -> list[str]:
    """Without TLS, and so with prior knowledge (RFC 9113 3.3)."""
    return [
        *("h2load", "--threads", "1", "--clients", str(case.connections)),
        *("--max-concurrent-streams", str(case.in_flight), "--duration", str(seconds)),
        f"http://127.0.0.1:{port}{case.path}",
    ]


def ws_load(case: Case, port: int, seconds: int) -> list[str]:
    return [
        str(BUILT / "ws_load"),
        str(port),
        str(case.connections),
        str(case.in_flight),
        str(seconds),
    ]


def h3_load(case: Case, port: int, seconds: int) -> list[str]:
    return [
        *(str(BUILT / "h3_load"), str(port), str(case.connections), str(case.in_flight)),
        *(str(seconds), case.path, str(len(case.answer))),
        *(() if case.body is None else (str(len(case.body)),)),
    ]


def counted(output: str) -> Load:
    """The last line that wrk, h3_load and ws_load write, one JSON object."""
    said: dict[str, Any] = json.loads(output.splitlines()[-1])
    errors = sum(said.get(kind, 0) for kind in ("connect", "read", "write", "timeout", "status"))
    times_us = {name: said[name] for name in ("p50_us", "p99_us")}
    return Load(said["requests"], said["spent_us"], errors, times_us)


def counted_by_h2load(output: str) -> Load:
    """Its summary. Of times it tells least, largest and mean."""
    finished = re.search(r"^finished in ([0-9.]+)(us|ms|s),", output, re.MULTILINE)
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    times = re.search(
        r"^time for request:(?: +[0-9.]+(?:us|ms|s)){2} +([0-9.]+)(us|ms|s)", output, re.MULTILINE
    )
    if finished is None or requests is None or times is None:
        raise ValueError(f"h2load said {output!r}")
    succeeded, *failures = map(int, requests.groups())
    spent_us = float(finished[1]) * UNITS_US[finished[2]]
    mean_us = float(times[1]) * UNITS_US[times[2]]
    # What errored or timed out has failed, too. Requests under way at the end count nowhere.
    return Load(succeeded, spent_us, failures[0], {"mean_us": mean_us})


@dataclass(frozen=True)
class Generator:
    """Who loads: its command line for a case, a port and a time, and how its output is read.

    Attributes:
        program: is needed.
        package: that has it, and the headers.
        source: of what is compiled first; "" for none.
        headers: that it wants, below /usr/include.
        libraries: and libraries.
    """

    command: Callable[[Case, int, int], list[str]]
    read: Callable[[str], Load]
    program: str
    package: str
    source: str = ""
    headers: str = ""
    libraries: tuple[str, ...] = ()


GENERATORS: Final[dict[Protocol, Generator]] = {
    "http/1.1": Generator(wrk, counted, "wrk", "wrk"),
    "h2": Generator(h2load, counted_by_h2load, "h2load", "nghttp2-client"),
    "h3": Generator(
        h3_load,
        counted,
        "cc",
        f"gcc libc6-dev {NGTCP2_PACKAGES}",
        "h3_load.c",
        "ngtcp2/ngtcp2_crypto_gnutls.h",
        ("-lngtcp2", "-lngtcp2_crypto_gnutls", "-lnghttp3", "-lgnutls"),
    ),
    "websocket": Generator(ws_load, counted, "cc", "gcc libc6-dev", "ws_load.c"),
}


def missing(case: Case) -> str | None:
    """What has to be installed before the case can be loaded."""
    generator = GENERATORS[case.protocol]
    if not shutil.which(generator.program):
        return f"{generator.program} is missing: apt install {generator.package}"
    if not os.path.exists(f"/usr/include/{generator.headers}"):
        return f"{generator.headers} is missing: apt install {generator.package}"
    return None


def compile_source(generator: Generator) -> None:
    source = SOURCES / generator.source
    built = BUILT / source.stem
    if built.exists() and built.stat().st_mtime >= source.stat().st_mtime:
        return
    BUILT.mkdir(exist_ok=True)
    command = ["cc", "-O2", "-Wall", "-o", str(built), str(source), *generator.libraries]
    subprocess.run(command, check=True)


def drive(case: Case, port: int, seconds: int, cpus: str) -> Load:
    """Load a server for that long, with one thread on these CPUs.

    Raises:
        Failed: the load generator came to nothing, or no request was answered.
    """
    generator = GENERATORS[case.protocol]
    if generator.source:
        compile_source(generator)
    command = ["taskset", "--cpu-list", cpus, *generator.command(case, port, seconds)]
    name = command[3].rpartition("/")[2]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 30, check=True
        )
        load = generator.read(done.stdout)
    except subprocess.CalledProcessError as error:
        raise Failed(f"{name}: {error.stderr.strip()}") from error
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise Failed(f"{name}: {error}") from error
    if not load.requests:
        raise Failed("no request was answered")
    return load
