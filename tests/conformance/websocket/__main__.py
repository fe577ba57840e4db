"""Puts a server through the cases: python -m tests.conformance.websocket HOST PORT.

The exit status is 0 when all cases are OK or INFORMATIONAL, 1 when not, 2 when there is no server
or no such case.
"""

from __future__ import annotations

import argparse
import ssl
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.conformance.websocket.case import FULL_COUNT, QUICK_COUNT
from tests.conformance.websocket.catalogue import choose
from tests.conformance.websocket.client import Target
from tests.conformance.websocket.conversation import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.websocket.case import Case
    from tests.conformance.websocket.verdict import Report


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("python -m tests.conformance.websocket", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/", help="of an echo service")
    parser.add_argument("--tls", action="store_true", help="connect by TLS")
    parser.add_argument("--ca", metavar="FILE", help="check its certificate by these authorities")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help='a case or a group: "5.15", "6."'
    )
    parser.add_argument("--full", action="store_true", help=f"{FULL_COUNT} messages, as the suite")
    parser.add_argument("--patience", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--brief", action="store_true", help="show what did not pass, and the sums")
    return parser.parse_args(argv)


def tls_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    """For the connections; without an authority any certificate will do."""
    if not options.tls:
        return None
    context = ssl.create_default_context(cafile=options.ca)
    if options.ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def show(case: Case, report: Report, seconds: float) -> None:
    """One row of the table."""
    row = f"{case.id:9}{report.behaviour:15}{report.closing:17}{seconds:7.2f} s  {case.title}"
    print(row, *[f"{'':9}{report.detail}"] * bool(report.detail), sep="\n", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen cases; the exit status."""
    options = arguments(argv)
    target = Target(
        options.host, options.port, options.path, tls_context(options), options.patience
    )
    try:
        cases = choose(tuple(options.only), FULL_COUNT if options.full else QUICK_COUNT)
    except LookupError as error:
        print(*error.args, file=sys.stderr)
        return 2
    sums: Counter[str] = Counter()
    failed = 0
    print(f"{'case':9}{'behaviour':15}{'closing':17}{'time':>9}  what")
    for case in cases:
        begin = time.monotonic()
        try:
            report = run(case, target)
        except OSError as error:
            print(f"{options.host}:{options.port}: {error}", file=sys.stderr)
            return 2
        if not (report.passed and options.brief):
            show(case, report, time.monotonic() - begin)
        sums[f"{report.behaviour} / {report.closing}"] += 1
        failed += not report.passed
    print(*(f"{number:5} {verdict}" for verdict, number in sums.most_common()), sep="\n")
    print(f"{len(cases) - failed} of {len(cases)} cases passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
