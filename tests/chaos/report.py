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
    "longest wait, ms",
)
ROWS = f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|"
NUMBER = re.compile(r"\d+")
TOLD = 6  # losses, and kinds of losses
LOG_TOLD = 6000
SLOW = ("upload", "reader")  # they take their time themselves
OWN = "the clients themselves"


def row(scenario: Scenario, workers: int, preload: bool, found: Findings) -> str:
    longest = {k: ms for k, ms in found.longest_ms.items() if k not in (*SLOW, OWN)}
    kind = max(longest, key=longest.get, default="")
    cells = (
        scenario.title,
        f"{workers}{', preload' if preload else ''}",
        found.events,
        sum(found.answered.values()),
        f"{found.rate:.0f}",
        str(found.lost_count) + (" !" if not found.good else ""),
        len(found.held) or "",
        f"{longest.get(kind, 0):.0f} ({kind})",
    )
    return f"| {' | '.join(map(str, cells))} |"


def evidence(found: Findings) -> str:
    """Why the findings are not good: faults, losses with what each client saw, and the log."""
    lines = [f"FAULT {fault}" for fault in found.faults]
    kinds = Counter(f"{loss['kind']}: {NUMBER.sub('N', loss['why'][:120])}" for loss in found.lost)
    lines += [f"LOST {count} {kind}" for kind, count in kinds.most_common(TOLD)]
    lines += [json.dumps(loss) for loss in found.lost[:TOLD]]
    lines += found.notes
    lines.append(found.log[-LOG_TOLD:])
    return "\n".join(lines)


def page(rows: list[tuple[Scenario, int, bool, Findings]], took_s: float) -> None:
    apart: Counter[str] = Counter()
    for *_, found in rows:
        apart.update(found.apart)
    versions = (
        f"granian-d {granian_d.__version__}, CPython {platform.python_version()}, "
        f"Linux {platform.release()}, {os.cpu_count()} CPUs for daemon and clients together, "
        f"{time.strftime('%Y-%m-%d')}, {took_s / 60:.0f} minutes."
    )
    lines = [
        "# Chaos",
        "",
        "Written by `make chaos`: what clients of six kinds lose while something happens to the daemon",
        "that serves them (`tests/chaos`). Lost is what was refused, reset, cut short, wrong, a 5xx, or not",
        "there in 20 s; nothing is tried again.",
        "",
        versions,
        "",
        ROWS,
        *(row(*one) for one in rows),
        "",
        "Not lost, counted apart:",
        "",
        *(f"- {count} {name}" for name, count in sorted(apart.items())),
        "",
    ]
    for scenario, workers, _, found in rows:
        if found.notes:
            lines += [f"## {scenario.title}, {workers} worker(s)", ""]
            lines += [f"- {note}" for note in found.notes] + [""]
    PAGE.write_text("\n".join(lines).rstrip() + "\n")
