"""Play the cases against a server: python -m tests.conformance.h2 HOST PORT [--tls] [--only PREFIX]."""

from __future__ import annotations

import argparse
import ssl
import sys
from collections import Counter

from tests.conformance.h2.case import Verdict, run
from tests.conformance.h2.catalogue import CASES
from tests.conformance.h2.client import Target


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.h2", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument(
        "--tls", action="store_true", help="over TLS; certificates are not verified"
    )
    parser.add_argument("--only", default="", metavar="PREFIX", help="cases such as http2/6.9")
    parser.add_argument("--path", default="/", help="a resource of 5 octets or more (%(default)s)")
    parser.add_argument(
        "--deadline", type=float, default=3.0, metavar="S", help="for one case (%(default)s)"
    )
    return parser


def context() -> ssl.SSLContext:
    """TLS that offers h2 and trusts everybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def main(arguments: list[str] | None = None) -> int:
    """Print a row for each case; 0 if none failed, 1 if some did, 2 if there are none."""
    options = parser().parse_args(arguments)
    tls = context() if options.tls else None
    target = Target(options.host, options.port, options.path, options.deadline, tls)
    counts: Counter[Verdict] = Counter()
    for case in CASES:
        if case.id.startswith(options.only):
            result = run(case, target)
            counts[result.verdict] += 1
            place = f"RFC {case.section}"
            print(f"{case.id:16} {result.verdict.value:16} {place:18} {case.title}")
            if result.detail:
                print(f"{'':16} {result.detail}")
    print(", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict))
    if not counts:
        return 2
    return 1 if counts[Verdict.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
