"""A run as Markdown: goals, a table a case, what failed, where it was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.cases import CASES
from benchmarks.goals import goals
from benchmarks.samples import FIGURES
from benchmarks.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cases import Case
    from benchmarks.goals import Goal
    from benchmarks.samples import Run
    from benchmarks.servers import Server

NOISE: Final = 0.05  # of a CPU: more than that taken by others is remarked on
SATURATED: Final = 0.95  # of its CPU: a server below that waited for the load generator
ALL_LOGGED: Final = 0.99  # lines a request; what is still in a buffer may be missing

LABELS: Final = {server.key: server.label for server in SERVERS}


def report(run: Run) -> str:
    parts = [
        "# Benchmarks\n",
        "Written by `make bench`. What is measured, and how: [README.md](../README.md).\n",
        *surroundings_lines(run),
        "\n## Goals\n",
        *goal_table(run),
    ]
    for case in CASES:
        if any(sample.case == case.name for sample in run.samples):
            parts += [f"\n## {case.title}\n", *case_part(run, case)]
    if run.left_out:
        parts += [
            "\n## Left out\n",
            *(f"- {LABELS[key]}: {why}" for key, why in run.left_out.items()),
        ]
    return "\n".join(parts) + "\n"


def surroundings_lines(run: Run) -> Iterator[str]:
    where = run.surroundings
    yield (
        f"{where['date']}, {where['cpu']}, {where['cpus']} CPUs, {where['kernel']}; "
        f"median of {where['rounds']} x {where['seconds']} s.\n"
    )
    for title, key in (("Ours", "ours"), ("Theirs", "theirs"), ("Tools", "tools")):
        yield f"- {title}: {named(where[key])}"


def named(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "none"


def table(head: list[str], rows: list[list[str]], texts: int) -> Iterator[str]:
    """Of Markdown, padded so that it reads well in a terminal too; numbers after so many texts."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * width for width in widths[:texts]]
    rule += ["-" * (width - 1) + ":" for width in widths[texts:]]
    for line in (head, rule, *rows):
        cells = [cell.ljust(width) for cell, width in zip(line[:texts], widths, strict=False)]
        cells += [
            cell.rjust(width) for cell, width in zip(line[texts:], widths[texts:], strict=True)
        ]
        yield "| " + " | ".join(cells) + " |"


def goal_table(run: Run) -> Iterator[str]:
    cases = {sample.case for sample in run.samples}
    rows = [[goal.title, *judged(goal, run)] for goal in goals() if goal.case in cases]
    return table(["goal", "result", "wanted", "measured", "in one round"], rows, texts=2)


def judged(goal: Goal, run: Run) -> list[str]:
    ratio, spread = goal.ratio(run), goal.spread(run)
    if ratio is None or spread is None:
        return ["not measured", goal.wanted, "", ""]
    missed = goal.missed_by(ratio)
    result = "met" if missed <= 0 else f"missed by {missed:.1%}"
    if goal.flawed(run):
        result += ", with failures"
    return [result, goal.wanted, f"{ratio:.2f}", f"{spread[0]:.2f} to {spread[1]:.2f}"]


def case_part(run: Run, case: Case) -> Iterator[str]:
    """A table of what has figures, and under it what was remarked; a star leads there."""
    head = ["server", *(FIGURES[name].heading for name in case.shows)]
    rows: list[list[str]] = []
    remarked: dict[str, list[str]] = {}
    for server in servers_of(run):
        said = dict(remarks(run, case, server))
        figures = cells(run, case, server)
        if any(figures):
            rows.append([server.label + (" *" if said else ""), *figures])
        for remark, detail in said.items():
            remarked.setdefault(remark, []).append(f"{server.label} ({detail})")
    yield from table(head, rows, texts=1)
    if remarked:
        yield ""
        yield from (f"- {remark}: {'; '.join(who)}" for remark, who in remarked.items())


def servers_of(run: Run) -> list[Server]:
    measured = {sample.server for sample in run.samples}
    return [server for server in SERVERS if server.key in measured]


def cells(run: Run, case: Case, server: Server) -> list[str]:
    return [FIGURES[name].text(run.median(case.name, server.key, name)) for name in case.shows]


def remarks(run: Run, case: Case, server: Server) -> Iterator[tuple[str, str]]:
    """All that keeps a row from being taken at its face value, with a detail each."""
    if why := server.lacks.get(case.name):
        yield "Not measured", why
        return
    key = case.name, server.key
    if failure := run.failure(*key):
        yield "FAILS", failure
    if errors := run.errors(*key):
        yield "ERRORS, requests or connections", f"{errors:,.0f}"
    for figure, remark, worth in REMARKS:
        value = run.median(*key, figure)
        if value is not None and worth(value, case, server):
            yield remark, FIGURES[figure].text(value)


def not_at_limit(busy: float, case: Case, _server: Server) -> bool:
    return case.workers == 1 and busy < SATURATED


def disturbed(foreign: float, _case: Case, _server: Server) -> bool:
    return foreign > NOISE


def shared(sharers: float, _case: Case, server: Server) -> bool:
    return sharers > 0 and server.interface != "none"


def unlogged(lines: float, _case: Case, _server: Server) -> bool:
    return lines < ALL_LOGGED


REMARKS: Final = (
    ("logged", "Not every request is in its log, lines/request", unlogged),
    ("foreign", "Disturbed, CPUs taken by other programs", disturbed),
    ("busy", "Not at its limit, CPUs busy", not_at_limit),
    ("sharers", "PSS too small, other programs that run its Python", shared),
)
