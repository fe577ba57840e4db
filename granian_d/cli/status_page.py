"""The report of `granianctl status` as a page for people."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FORMAT: Final = 1  # of the reports that it knows

_WORKERS: Final = (
    *("worker", "gen", "pid", "state", "up", "requests", "active", "conns", "cpu"),
    *("PSS", "RSS", "last request"),
)
_DEATHS: Final = ("died", "worker", "gen", "pid", "how", "reason")
_TEXT_CHARS: Final = 80


def lines(text: str) -> Iterator[str]:
    """The page of a report, which comes as JSON (docs/control.md)."""
    report = json.loads(text)
    if report["format"] != FORMAT:
        yield f"this granianctl does not know reports of format {report['format']}: use --json"
        return
    yield from _head(report)
    yield ""
    yield from _table(_WORKERS, map(_worker_row, report["workers"]))
    if report["deaths"]:
        yield ""
        yield from _table(_DEATHS, map(_death_row, report["deaths"]))


def _head(report: dict[str, Any]) -> Iterator[str]:
    master, totals = report["master"], report["totals"]
    yield (
        f"{report['name'] or 'granian-d'}: {report['phase']}"
        f"{', reloading' if report['reloading'] else ''}, health: {report['health']}"
    )
    yield (
        f"granian-d {report['version']}, {report['engine'] or 'no'} engine, PID {master['pid']},"
        f" up {_span(master['uptime_s'])}"
    )
    for address in report["listeners"]:
        yield f"listening at {address}"
    if (metrics := report.get("metrics")) is not None:  # an older daemon has none
        pid = "-" if metrics["pid"] is None else metrics["pid"]
        yield f"metrics at {metrics['address']}, PID {pid}"
    yield (
        f"{totals['requests']} requests, {report['requests_per_s']:.1f}/s,"
        f" {totals['active']} active, {totals['connections']} connections,"
        f" {totals['crashed']} crashed"
    )
    yield f"memory: {_size(_memory(report))} (PSS), of it the master {_size(master['pss_bytes'])}"
    for generation in report["generations"]:
        yield (
            f"generation {generation['number']}, {generation['state']}:"
            f" {generation['ready']} ready of {generation['wanted']} wanted,"
            f" {generation['alive']} alive"
        )
    for mold in report["molds"]:
        pid = "-" if mold["pid"] is None else mold["pid"]
        yield f"mold of generation {mold['generation']}: {mold['state']}, PID {pid}"
    if (change := report["last_change"]) is not None:
        yield _change(change)


def _change(change: dict[str, Any]) -> str:
    how = f"failed ({change['exit_code']}): {change['reason']}" if change["exit_code"] else "done"
    first, _, more = how.partition("\n")
    return (
        f"last change: {_moment(change['at'])}, took {_span(change['took_s'])}, {first}"
        f"{' ...' if more else ''}"
    )


def _memory(report: dict[str, Any]) -> int | None:
    parts = [p.get("pss_bytes") for p in (report["master"], *report["workers"], *report["molds"])]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _worker_row(worker: dict[str, Any]) -> tuple[str, ...]:
    seat = (str(worker["slot"]), str(worker["generation"]))
    if worker["pid"] is None:
        return (*seat, "-", worker["state"], *("-" for _ in _WORKERS[4:]))
    uptime_s, busy_s = worker["uptime_s"], worker["busy_s"]
    return (
        *seat,
        str(worker["pid"]),
        worker["state"],
        _span(uptime_s),
        str(worker["requests"]),
        str(worker["active"]),
        str(worker["connections"]),
        f"{100 * busy_s / uptime_s:.0f} %" if uptime_s else "-",
        _size(worker["pss_bytes"]),
        _size(worker["rss_bytes"]),
        _last_request(worker),
    )


def _last_request(worker: dict[str, Any]) -> str:
    if worker["last_request_ago_s"] is None:
        return "-"
    return f"{worker['last_request']}, {_span(worker['last_request_ago_s'])} ago"


def _death_row(death: dict[str, Any]) -> tuple[str, ...]:
    return (
        _moment(death["at"]),
        str(death["slot"]) if death["slot"] else "mold",
        str(death["generation"]),
        str(death["pid"]),
        death["how"],
        death["reason"].partition("\n")[0],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as what stands in them; the last one is cut."""
    cells = [[*row[:-1], row[-1][:_TEXT_CHARS]] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip()


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit_s, unit, part_s, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if seconds >= unit_s:
            return f"{seconds // unit_s:.0f} {unit} {seconds % unit_s // part_s:.0f} {part}"
    if seconds >= 60:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds:.1f} s"


def _size(octets: int | None) -> str:
    return "-" if octets is None else f"{octets / (1 << 20):.1f} MiB"


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
