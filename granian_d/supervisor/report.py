"""How the service is, as plain data: the answer to `granianctl status`, see docs/control.md.

Made of the roster, the scoreboard and /proc, and only when somebody asks: to add up the pages of a
process (smaps_rollup) takes the kernel some 6 ms for each GiB of it, and the master waits for that.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from granian_d import __version__
from granian_d.engine.choose import resolve
from granian_d.observe import scoreboard as columns
from granian_d.observe.footprint import footprint
from granian_d.supervisor.child import UNBORN
from granian_d.supervisor.listeners import addresses

if TYPE_CHECKING:
    from granian_d.observe.scoreboard import Row, Scoreboard
    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.os_calls import OsCalls
    from granian_d.supervisor.roster import Death, Mold, Outcome, Roster, Worker

FORMAT: Final = 1  # of the report; grows when something in it changes its meaning

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_START_TIME: Final = 22 - 3  # field 22 of proc_pid_stat(5); the first behind the name is the third


def describe(roster: Roster, hands: OsCalls, requests_per_s: float) -> dict[str, Any]:
    """The report; JSON can be made of it. Times: `_s` seconds, `at` seconds since the epoch."""
    board = hands.scoreboard
    rows = [child.row for child in hands.children.values()]
    plan = hands.plans.get(roster.committed or roster.candidate)
    now = time.monotonic()
    epoch = time.time() - now
    workers = [_worker(worker, hands, now) for worker in roster.workers.values()]
    return {
        "format": FORMAT,
        "version": __version__,
        "name": plan.master.process_name if plan else "",
        "engine": resolve(plan.worker.engine) if plan else "",
        "phase": roster.phase,
        "reloading": roster.reloading,
        "health": columns.HEALTHS[board.health[0]],
        "master": _process(os.getpid()),
        "listeners": _listeners(plan, hands) if roster.phase != "stopping" else [],
        "metrics": _metrics(hands),
        "requests_per_s": round(requests_per_s, 3),
        "totals": _totals(board, rows),
        "generations": _generations(roster),
        "workers": sorted(workers, key=_seat),
        "molds": [_mold(mold, hands) for mold in roster.molds.values()],
        "deaths": [_death(death, epoch) for death in roster.deaths],
        "last_change": _outcome(roster.outcome, epoch),
    }


def _seat(worker: dict[str, Any]) -> tuple[int, int]:
    return (worker["slot"], worker["generation"])


def _process(pid: int) -> dict[str, Any]:
    """What the kernel tells of a process; None for what it does not tell."""
    taken = footprint(pid)
    return {
        "pid": pid,
        "uptime_s": _uptime_s(pid),
        "rss_bytes": taken.rss or None,
        "pss_bytes": taken.pss or None,
    }


def _uptime_s(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()  # a name may hold anything
    except OSError:
        return None
    started_s = int(fields[_START_TIME]) / _TICKS_A_SECOND
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - started_s, 2)


def _worker(worker: Worker, hands: OsCalls, now: float) -> dict[str, Any]:
    child = hands.children.get(worker.number)
    seat = {
        "slot": worker.slot,
        "number": worker.number,
        "generation": worker.generation,
        "state": "leaving" if worker.leaving and worker.state == "ready" else worker.state,
        "reason": worker.reason,
    }
    if child is None or child.pid == UNBORN:  # it is being born, or dead and not told of
        return {**seat, "pid": None}
    counted = _counted(hands.scoreboard.row(child.row), now)
    last_request = hands.scoreboard.last_request(child.row)
    return {**seat, **_process(child.pid), **counted, "last_request": last_request}


def _counted(row: Row, now: float) -> dict[str, Any]:
    """What a worker has written of itself."""
    return {
        "requests": row[columns.REQUESTS],
        "active": row[columns.ACTIVE],
        "connections": row[columns.CONNECTIONS],
        "crashed": row[columns.CRASHED],
        "busy_s": round(row[columns.BUSY_NS] / 1e9, 3),
        "lag_s": round(row[columns.LAG_NS] / 1e9, 6),
        "beat_ago_s": _ago_s(row[columns.BEAT_NS], now),
        "oldest_request_s": _ago_s(row[columns.OLDEST_NS], now),
        "last_request_ago_s": _ago_s(row[columns.LAST_NS], now),
    }


def _ago_s(stamp_ns: int, now: float) -> float | None:
    return round(max(0.0, now - stamp_ns / 1e9), 3) if stamp_ns else None


def _mold(mold: Mold, hands: OsCalls) -> dict[str, Any]:
    child = hands.molds.get(mold.number)
    seat = {"number": mold.number, "generation": mold.generation, "state": mold.state}
    return {**seat, **_process(child.pid)} if child else {**seat, "pid": None}


def _generations(roster: Roster) -> list[dict[str, Any]]:
    numbers = {*roster.terms, *(worker.generation for worker in roster.workers.values())}
    names = {roster.candidate: "candidate", roster.committed: "committed"}
    return [
        {
            "number": number,
            "state": names.get(number, "draining"),
            "wanted": roster.count(number) if number in names else 0,
            "ready": len(list(roster.of(number, "ready"))),
            "alive": sum(w.generation == number for w in roster.workers.values()),
        }
        for number in sorted(numbers)
    ]


def _totals(board: Scoreboard, rows: list[int]) -> dict[str, Any]:
    """Since the daemon's start, with the workers that have gone; gauges of those that are here."""
    totals: dict[str, Any] = {
        name: board.total(column, rows)
        for column, name in enumerate(columns.COLUMNS)
        if name not in columns.GAUGES and not name.endswith("_ns")
    }
    for name, column in (("active", columns.ACTIVE), ("connections", columns.CONNECTIONS)):
        totals[name] = sum(board.row(row)[column] for row in rows)
    totals["latency_s"] = round(board.total(columns.LATENCY_NS, rows) / 1e9, 6)
    totals["busy_s"] = round(board.total(columns.BUSY_NS, rows) / 1e9, 3)
    return totals


def _listeners(plan: DaemonPlan | None, hands: OsCalls) -> list[str]:
    return addresses(plan, hands.listeners, hands.datagrams) if plan is not None else []


def _metrics(hands: OsCalls) -> dict[str, Any] | None:
    """Who tells metrics."""
    exporter = hands.exporter
    if exporter is None or not exporter.address:
        return None
    seat = {"address": exporter.address}
    return {**seat, **_process(exporter.pid)} if exporter.pid else {**seat, "pid": None}


def _death(death: Death, epoch: float) -> dict[str, Any]:
    return {
        "at": round(epoch + death.at, 3),
        "slot": death.slot,
        "generation": death.generation,
        "pid": death.pid,
        "how": death.how,
        "reason": death.reason,
    }


def _outcome(outcome: Outcome | None, epoch: float) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "change": outcome.change,
        "at": round(epoch + outcome.ended_at, 3),
        "took_s": round(outcome.ended_at - outcome.began_at, 3),
        "exit_code": outcome.exit_code,
        "reason": outcome.reason,
    }
