"""One measurement: a server started for it, checked, measured and stopped."""

from __future__ import annotations

import contextlib
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import answer, idle, load
from benchmarks.measure import busy_s
from benchmarks.running import Failed, running
from benchmarks.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.cases import Case
    from benchmarks.running import Running
    from benchmarks.servers import Server

WARM_UP_S: Final = 1
BEFORE_IDLE: Final = 64  # connections that come and go before the idle ones are counted


@dataclass(frozen=True)
class Cpus:
    """Who runs where."""

    server: frozenset[int]
    load: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.server | self.load


def as_list(cpus: frozenset[int]) -> str:
    """As taskset reads them."""
    return ",".join(map(str, sorted(cpus)))


def share(cpus: list[int], workers: int) -> Cpus:
    """A CPU for each worker and the next for the load. Where they do not suffice, all have all."""
    if len(cpus) > workers:
        return Cpus(frozenset(cpus[:workers]), frozenset(cpus[workers : workers + 1]))
    return Cpus(frozenset(cpus), frozenset(cpus))


def sample(case: Case, server: Server, cpus: list[int], seconds: int, number: int) -> Sample:
    """Measure one server in one case; never raises for what the server does."""
    shares = share(cpus, case.workers)
    try:
        if case.idle:
            idle.allow(case.connections)
        with running(server, case, as_list(shares.server)) as started:
            answer.check(case, started)
            if case.idle:
                figures = under_idle(case, started)
            else:
                figures = under_load(case, started, shares, seconds)
    except Failed as failed:
        return Sample(case.name, server.key, number, failure=str(failed))
    except (FileNotFoundError, ProcessLookupError) as gone:
        return Sample(case.name, server.key, number, failure=f"a process of it ended: {gone}")
    return Sample(case.name, server.key, number, figures)


@dataclass
class Spent:
    """CPU and real time of a stretch; complete when it is over."""

    server_s: float = 0.0
    foreign_s: float = 0.0
    real_s: float = 0.0


@contextlib.contextmanager
def spending(started: Running, cpus: Cpus) -> Iterator[Spent]:
    """What the stretch costs the server, and what of its CPUs goes to neither it nor the load.

    Raises:
        Failed: a process of the server did not live to the end.
    """
    spent = Spent()
    began, busy, ours = time.monotonic(), busy_s(cpus.all), own_s()
    before = started.tree.cpu_s()
    yield spent
    after = started.tree.cpu_s()
    if lost := before.keys() - after.keys():
        raise Failed(f"{len(lost)} of its processes ended under load")
    spent.server_s = sum(after.values()) - sum(before.values())
    spent.foreign_s = max(0.0, busy_s(cpus.all) - busy - (own_s() - ours) - spent.server_s)
    spent.real_s = time.monotonic() - began


def own_s() -> float:
    """CPU time of the harness and of what it has waited for: wrk."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def under_load(case: Case, started: Running, cpus: Cpus, seconds: int) -> dict[str, float]:
    load.drive(case, started.port, WARM_UP_S, as_list(cpus.load))
    lines = count_lines(started.requests_log) if case.access_log else 0
    with spending(started, cpus) as spent:
        seen = load.drive(case, started.port, seconds, as_list(cpus.load))
    memory = started.tree.memory()
    figures = {
        "rate": seen.rate,
        "cpu_us": spent.server_s / seen.requests * 1e6,
        **seen.times_us,
        "pss_kib": memory.pss_kib,
        "uss_kib": memory.uss_kib,
        "busy": spent.server_s / spent.real_s,
        "errors": seen.errors,
        "foreign": spent.foreign_s / spent.real_s,
        "sharers": started.tree.sharers(),
    }
    if case.access_log:
        figures["logged"] = (count_lines(started.requests_log) - lines) / seen.requests
    return figures


def count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def under_idle(case: Case, started: Running) -> dict[str, float]:
    """What the connections add to the memory of a server that has served some before."""
    with idle.held(case, started.port, BEFORE_IDLE):
        pass
    before = started.tree.memory()
    with idle.held(case, started.port, case.connections) as client:
        after = started.tree.memory()
        if lost := client.lost():
            raise Failed(f"closed {lost} of {case.connections} idle connections")
    return {
        "pss_per_connection_b": (after.pss_kib - before.pss_kib) * 1024 / case.connections,
        "uss_per_connection_b": (after.uss_kib - before.uss_kib) * 1024 / case.connections,
        "pss_kib": after.pss_kib,
        "uss_kib": after.uss_kib,
        "sharers": started.tree.sharers(),
    }
