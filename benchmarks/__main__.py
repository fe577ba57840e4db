"""granian-d beside its peers, in turn, on this machine. See README.md.

A run of everything, as `make bench` does it, takes long and replaces benchmarks/results. A run of
a part prints what it finds and leaves them as they are, unless it is told to --write.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import load, samples
from benchmarks.cases import CASES
from benchmarks.conduct import sample
from benchmarks.plot import chart
from benchmarks.report import NOISE, report
from benchmarks.samples import FIGURES, Run
from benchmarks.servers import SERVERS
from benchmarks.surroundings import surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cases import Case
    from benchmarks.samples import Sample
    from benchmarks.servers import Server

RESULTS: Final = Path(__file__).with_name("results")
ROUNDS: Final = 5
SECONDS: Final = 5
TRIES: Final = 3  # of a measurement that others disturb


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    servers = ", ".join(server.key for server in SERVERS)
    cases = ", ".join(case.name for case in CASES)
    parser.add_argument(
        "--only", default="*", metavar="SERVERS", help=f"of {servers}; *.asgi works"
    )
    parser.add_argument("--cases", default="*", help=f"of {cases}")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each measurement")
    parser.add_argument(
        "--tries", type=int, default=TRIES, help="of a measurement that others disturb"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="replace benchmarks/results, or what of them is measured",
    )
    parser.add_argument(
        "--page",
        metavar="NAME",
        help="of results of their own, instead of report.md",
    )
    parser.add_argument(
        "--render", action="store_true", help="measure nothing: table and chart anew"
    )
    return parser.parse_args()


def matching(patterns: str, names: list[str]) -> list[str]:
    """The names that one of the patterns, with commas between them, matches."""
    chosen: list[str] = []
    for pattern in patterns.split(","):
        found = fnmatch.filter(names, pattern)
        if not found:
            sys.exit(f"{pattern} is none of {', '.join(names)}")
        chosen += found
    return [name for name in names if name in chosen]


def measurements(
    cases: list[Case], servers: list[Server], rounds: int, seconds: int, tries: int
) -> Iterator[Sample]:
    """All of them, servers in turn within a case, cases in turn within a round."""
    cpus = sorted(os.sched_getaffinity(0))
    for number in range(1, rounds + 1):
        for case in cases:
            print(f"\nround {number} of {rounds}: {case.title}", flush=True)
            for server in servers:
                if server.takes(case):
                    taken = steady_sample(case, server, cpus, (seconds, number), tries)
                    print(f"  {server.label:24} {line(taken, case)}", flush=True)
                    yield taken


def steady_sample(
    case: Case, server: Server, cpus: list[int], span: tuple[int, int], tries: int
) -> Sample:
    """The least disturbed of a few: on a shared host others take whole seconds away."""
    taken: list[Sample] = []
    while len(taken) < tries:
        taken.append(sample(case, server, cpus, *span))
        if taken[-1].figures.get("foreign", 0.0) <= NOISE:
            return taken[-1]
    return min(taken, key=lambda one: one.figures["foreign"])


def line(taken: Sample, case: Case) -> str:
    if taken.failure:
        return f"FAILS: {taken.failure}"
    shown = (name for name in (*case.shows, "errors", "foreign") if name in taken.figures)
    return ", ".join(
        f"{FIGURES[name].heading} {FIGURES[name].text(taken.figures[name])}" for name in shown
    )


def run(chosen: argparse.Namespace) -> Run:
    named = matching(chosen.cases, [case.name for case in CASES])
    cases = [case for case in CASES if case.name in named]
    for missing in {why for case in cases if (why := load.missing(case))}:
        sys.exit(missing)
    keys = matching(chosen.only, [server.key for server in SERVERS])
    picked = [server for server in SERVERS if server.key in keys]
    left_out = {server.key: why for server in picked if (why := server.missing())}
    for key, why in left_out.items():
        print(f"{key} is left out: {why}", file=sys.stderr)
    taken = measurements(
        cases,
        [server for server in picked if server.key not in left_out],
        chosen.rounds,
        chosen.seconds,
        chosen.tries,
    )
    return Run(surroundings(chosen.rounds, chosen.seconds), left_out, list(taken))


def joined(before: Run, now: Run) -> Run:
    """The results that are there, with those of now in the place of theirs.

    Only what was measured on the same day, and as often and as long, stands beside each other.
    """
    was, found = before.surroundings, now.surroundings
    same = ("date", "cpu", "kernel", "rounds", "seconds")
    differing = [name for name in same if was[name] != found[name]]
    theirs = was["theirs"].keys() & found["theirs"].keys()
    differing += [name for name in theirs if was["theirs"][name] != found["theirs"][name]]
    if differing:
        sys.exit(f"benchmarks/results is of another {differing[0]}: measure all of it again")
    measured = {(one.case, one.server) for one in now.samples}
    kept = [one for one in before.samples if (one.case, one.server) not in measured]
    return Run(now.surroundings, before.left_out | now.left_out, [*kept, *now.samples])


def main() -> None:
    chosen = options()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("stopped")
    )  # and the server that runs with it
    figures = RESULTS / f"{chosen.page or 'figures'}.json"
    result = samples.read(figures) if chosen.render else run(chosen)
    print("\n" + report(result))
    whole = (chosen.only, chosen.cases, chosen.rounds, chosen.seconds) == (
        "*",
        "*",
        ROUNDS,
        SECONDS,
    )
    if not (whole or chosen.write or chosen.render):
        print("A part only: benchmarks/results is left as it was.")
        return
    if not (whole or chosen.render) and figures.exists():
        result = joined(samples.read(figures), result)
    RESULTS.mkdir(exist_ok=True)
    result.write(figures)
    (RESULTS / f"{chosen.page or 'report'}.md").write_text(report(result))
    if not chosen.page:
        (RESULTS / "chart.svg").write_text(chart(result))


if __name__ == "__main__":
    main()
