"""`python -m tests.chaos`: play scenarios, print what was found, write docs/results/chaos.md."""

from __future__ import annotations

import argparse
import sys
import time

from tests.chaos.report import ROWS, evidence, page, row
from tests.chaos.scenarios import SCENARIOS, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each scenario a few times")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SCENARIOS,
        default=list(SCENARIOS),
        metavar="SCENARIO",
        help=", ".join(SCENARIOS),
    )
    parser.add_argument("--workers", type=int, nargs="+", help="these numbers only")
    parser.add_argument("--preload", choices=("both", "on", "off"), default="both")
    parser.add_argument("--write", action="store_true", help="replace docs/results/chaos.md")
    options = parser.parse_args()
    began = time.monotonic()
    rows, good = [], True
    print(ROWS)
    for name in options.only:
        scenario = SCENARIOS[name]
        for preload in (False, True) if scenario.preload else (False,):
            if options.preload not in ("both", "on" if preload else "off"):
                continue
            # A mold matters where it forks several.
            for workers in options.workers or scenario.workers[-1 if preload else 0 :]:
                findings = play(scenario, workers, preload, options.quick)
                rows.append((scenario, workers, preload, findings))
                good = good and findings.good
                print(row(*rows[-1]), flush=True)
                if not findings.good:
                    print(evidence(findings), file=sys.stderr, flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")
    if options.write:
        page(rows, [scenario.title for scenario in SCENARIOS.values()])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
