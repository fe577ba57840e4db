"""HTTP/3 under load while its workers come, go and die: `make soak-http3`.

Clients (h3_load.py) keep connections busy, move them to other ports, upload, read answers that take
a while and converse, while each of the scenarios is played with 1 and with 4 workers. Prints a
table, writes it with --write, and ends with 1 if anything was lost that no dead process held.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import granian_d
from tests.process.daemon import wait_until
from tests.process.h3_load import H3Load
from tests.process.h3_site import Site
from tests.process.test_http3_workers import PATIENT
from tests.process.test_upgrade import upgrade

PAGE = Path(__file__).parents[2] / "docs" / "results" / "http3-reloads.md"
BETWEEN = 100  # requests that are answered between two events
STORE_MAX = 64  # FileDescriptorStoreMax= of our unit

HEAD = """# HTTP/3 while workers come, go and die

Written by `make soak-http3`. Three connections ask with four requests under way each, one of them goes on
from another port every 0.3 s; one uploads 64 KiB at a time; two read answers that take 1.5 s; two
converse. Their QUIC and their framing are aioquic's own. On GOAWAY each opens another connection
and asks again what the server says that it has not begun ("again"). Lost is everything else: no
handshake, a reset, an end of the connection, a wrong or a cut answer, a worker that changes under a
connection, a conversation that ends in any way but a Close with 1001 or 1012 behind its echoes.
"Held" was lost with a process that was killed, on connections that it had answered on before, or
that had no answer yet.

"""
ROWS = (
    "| what happens | workers | times | answers | connections | moves | again | held | lost |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def reloads(site: Site, clients: H3Load, count: int) -> None:
    for number in range(count):
        status = site.reload()
        assert f"gen {number + 2}, " in status, status
        clients.more(BETWEEN)


def deaths(site: Site, clients: H3Load, count: int) -> None:
    for _ in range(count):
        # The latest one: it serves, and is missed. Those of before the reload may still drain.
        victim = int(site.log.rpartition("Spawning worker-")[2].split("PID: ")[1].split()[0])
        started = site.log.count("Started worker-")
        clients.doom(victim)
        os.kill(victim, signal.SIGKILL)
        site.wait_for_log("Started worker-", started + 1)
        clients.more(BETWEEN)
        site.reload()  # all workers are new: no back-off of a slot is waited for


def recycling(site: Site, clients: H3Load, count: int) -> None:
    site.wait_for_log("Respawning worker-", count)
    site.wait_for_log("Stopped worker-", count - 1)
    assert "Unexpected exit" not in site.log


def scaling(site: Site, clients: H3Load, count: int) -> None:
    wanted = site.wanted
    for _ in range(count):
        started = site.log.count("Started worker-")
        site.signal("TTIN")
        site.wait_for_log("Started worker-", started + 1)
        clients.more(BETWEEN)
        site.signal("TTOU")
        wait_until(lambda: len(site.workers()) == wanted)
        clients.more(BETWEEN)


def upgrades(site: Site, clients: H3Load, count: int) -> None:
    for number in range(count):
        status = upgrade(site)
        assert f"gen {number + 2}, " in status, status
        clients.more(BETWEEN)


def restarts(site: Site, clients: H3Load, count: int) -> None:
    for _ in range(count):
        site.restart()
        clients.more(BETWEEN)


# Name: what plays it, how often, lines of the configuration.
SCENARIOS = {
    "reload": (reloads, 20, ""),
    "SIGKILL of a worker": (deaths, 10, ""),
    "recycling after 200 requests": (recycling, 20, "workers_max_requests = 200\nsurge = 8\n"),
    "one worker more and one fewer": (scaling, 10, ""),
    "upgrade in place": (upgrades, 5, ""),
    "restart, sockets kept by the manager": (restarts, 5, ""),
}


def soak(name: str, workers: int) -> tuple[str, bool, list[str]]:
    """One row of the table, whether nothing was lost, and what was."""
    play, count, more = SCENARIOS[name]
    with (
        tempfile.TemporaryDirectory() as directory,
        Site(Path(directory), workers, PATIENT + more, store_max=STORE_MAX) as site,
    ):
        clients = H3Load(site.port, site.authority.pem)
        with clients:
            clients.more(BETWEEN)
            play(site, clients, count)
        result = clients.result
        log = [] if not result["lost"] else site.log.splitlines()
    figures = [result[key] for key in ("answered", "connections", "moves", "again")]
    row = [name, workers, count, *figures, len(result["held"]), len(result["lost"])]
    return "| " + " | ".join(map(str, row)) + " |", not result["lost"], [*result["lost"], *log]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.process.h3_soak")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--write", action="store_true", help=f"replace {PAGE.name}")
    options = parser.parse_args()
    where = (
        f"granian-d {granian_d.__version__}, aioquic {version('aioquic')}, "
        f"CPython {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} cores, "
        f"{time.strftime('%Y-%m-%d')}\n\n"
    )
    rows, clean = [], True
    print(where + ROWS)
    for name in options.only:
        for workers in options.workers:
            row, good, losses = soak(name, workers)
            rows.append(row)
            print(row, flush=True)
            print("".join(f"    {loss}\n" for loss in losses), end="", file=sys.stderr, flush=True)
            clean = clean and good
    if options.write:
        PAGE.write_text(HEAD + where + ROWS + "\n" + "\n".join(rows) + "\n")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
