"""What was found, as a table, a page and, of losses, as evidence."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import granian_d

if TYPE_CHECKING:
    from tests.chaos.scenarios import Scenario
    from tests.chaos.stage import Findings

PAGE = Path(__file__).parents[2] / "docs" / "results" / "chaos.md"
HEADS = (
    "event",
    "workers",
    "times",
    "requests",
    "a second",
    "lost",
    "held by who was killed",
    "never begun",
    "longest wait, ms",
    "on",
)
ROWS = f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|"
NOTES = "| of | workers | found |\n|---|---|---|"
NUMBER = re.compile(r"\d+")
TOLD = 6  # losses, and kinds of losses
LOG_TOLD = 6000
SLOW = ("upload", "reader")  # they take their time themselves
OWN = "the clients themselves"


def row(scenario: Scenario, workers: int, preload: bool, found: Findings) -> str:
    longest = {k: ms for k, ms in found.longest_ms.items() if k not in (*SLOW, OWN)}
    kind = max(longest, key=longest.get, default="")
    never_begun = sum(count for name, count in found.apart.items() if name.startswith("streams "))
    cells = (
        scenario.title,
        _setup(workers, preload),
        found.events,
        sum(found.answered.values()),
        f"{found.rate:.0f}",
        str(found.lost_count) + ("" if found.good else " !"),
        len(found.held) or "",
        never_begun or "",
        f"{longest.get(kind, 0):.0f} ({kind})",
        time.strftime("%Y-%m-%d"),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _setup(workers: int, preload: bool) -> str:
    return f"{workers}{', preload' if preload else ''}"


def evidence(found: Findings) -> str:
    """Why the findings are not good: faults, losses with what each client saw, and the log."""
    lines = [f"FAULT {fault}" for fault in found.faults]
    kinds = Counter(f"{loss['kind']}: {NUMBER.sub('N', loss['why'][:120])}" for loss in found.lost)
    lines += [f"LOST {count} {kind}" for kind, count in kinds.most_common(TOLD)]
    lines += [json.dumps(loss) for loss in found.lost[:TOLD]]
    lines += found.notes
    lines.append(found.log[-LOG_TOLD:])
    return "\n".join(lines)


def page(played: list[tuple[Scenario, int, bool, Findings]], order: list[str]) -> None:
    """Write the page anew: what was played replaces its rows, the others stay.

    Args:
        played: of this run.
        order: titles, as their rows shall stand.
    """
    rows = [line for line in _lines() if line.startswith("| ") and line.count("|") > NOTE_BARS]
    notes = [line for line in _lines() if line.startswith("| ") and line.count("|") == NOTE_BARS]
    rows = [line for line in rows if line not in ROWS]
    notes = [line for line in notes if line not in NOTES]
    for scenario, workers, preload, found in played:
        mark = f"| {scenario.title} | {_setup(workers, preload)} |"
        rows = [line for line in rows if not line.startswith(mark)]
        notes = [line for line in notes if not line.startswith(mark)]
        rows.append(row(scenario, workers, preload, found))
        notes += [f"{mark} {note} |" for note in found.notes]
    place = {title: number for number, title in enumerate(order)}
    PAGE.write_text(
        HEAD.format(
            version=granian_d.__version__,
            python=platform.python_version(),
            linux=platform.release(),
            cpus=os.cpu_count(),
            rows="\n".join([ROWS, *sorted(rows, key=lambda line: _place(place, line))]),
            notes="\n".join([NOTES, *sorted(notes, key=lambda line: _place(place, line))]),
        )
    )


def _lines() -> list[str]:
    return PAGE.read_text().splitlines() if PAGE.exists() else []


def _place(place: dict[str, int], line: str) -> tuple[int, bool, str]:
    _, title, setup, *_ = (cell.strip() for cell in line.split("|"))
    return place.get(title, len(place)), "preload" in setup, setup


NOTE_BARS = 4
HEAD = """\
# Chaos

Written by `make chaos`: what clients of seven kinds lose while something happens to the daemon that
serves them (`tests/chaos/README.md`). Lost is what was refused, reset, cut short, wrong, a 5xx, or not
there in 20 s; nothing is tried again but streams of HTTP/2 that were never begun. A row with "!" did
not go as it should. Uploads and slow readers take seconds by themselves: the longest wait is of the
others, from before the connection, if it was a new one, to the last octet. Where the master goes, what
is asked a second counts the time in which nobody serves.

granian-d {version}, native engine, CPython {python}, Linux {linux}, {cpus} CPUs for daemon and clients together.

{rows}

## Found beside

{notes}
"""
