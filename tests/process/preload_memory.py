"""What `preload` spares: the memory of eight workers with a Django site, with it and without.

    .venv/bin/python -m tests.process.preload_memory [--write]

PSS counts of each page that n processes share an n-th part (proc(5), smaps_rollup), so that the sum
over a tree is the memory that it takes. Looked at when all workers are ready, and again when each
has answered some hundred requests. With --write the page docs/results/preload-memory.md is written.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import django
import uvloop

import granian_d
from tests.process.daemon import Connection, Daemon, wait_until

WORKERS = 8
REQUESTS = 300  # of each worker
GOAL = 0.30
PAGE = Path(__file__).parents[2] / "docs" / "results" / "preload-memory.md"

# What `startproject` writes, in one file: the admin, its middleware, a database in a file.
SITE = """
import os
from pathlib import Path

from django.conf import settings

HERE = Path(__file__).parent
settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib." + name for name in (
        "admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")],
    MIDDLEWARE=["django." + name for name in (
        "middleware.security.SecurityMiddleware",
        "contrib.sessions.middleware.SessionMiddleware",
        "middleware.common.CommonMiddleware",
        "middleware.csrf.CsrfViewMiddleware",
        "contrib.auth.middleware.AuthenticationMiddleware",
        "contrib.messages.middleware.MessageMiddleware",
        "middleware.clickjacking.XFrameOptionsMiddleware")],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django." + name for name in (
            "template.context_processors.request",
            "contrib.auth.context_processors.auth",
            "contrib.messages.context_processors.messages")]},
    }],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "db.sqlite3"}},
    STATIC_URL="static/",
    USE_TZ=True,
)

from django.contrib import admin
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
import django

django.setup()

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", lambda request: HttpResponse(str(os.getpid()))),
]
wsgi = WSGIHandler()
asgi = ASGIHandler()
"""


class Tree(NamedTuple):
    """PSS in KiB."""

    workers: int
    mold: int
    master: int

    @property
    def sum(self) -> int:
        return sum(self)


class Setup(NamedTuple):
    interface: str
    option: str = ""


OPTIONS = {
    "": (),
    "preload": ("--preload",),
    "refork_after": ("--preload", "--refork-after", "100"),
}


def pss(pid: int) -> int:
    """PSS of a process, in KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def part(pid: int) -> str:
    """What a process is, from its title: "mold", "worker"."""
    return Path(f"/proc/{pid}/cmdline").read_text().split()[1]


def weigh(daemon: Daemon) -> Tree:
    sums = {"worker": 0, "mold": 0}
    for pid in daemon.workers():
        sums[part(pid)] += pss(pid)
    return Tree(sums["worker"], sums["mold"], pss(daemon.pid))


def work(daemon: Daemon) -> None:
    """Have every worker answer its share: a page, and the admin's form with its templates."""
    reached: dict[int, Connection] = {}
    tried: list[Connection] = []
    while len(reached) < WORKERS:
        tried.append(Connection(("127.0.0.1", daemon.port)))
        reached.setdefault(int(tried[-1].ask("/").text), tried[-1])
    for _ in range(REQUESTS // 2):
        for connection in reached.values():  # in turn: none is idle for so long that it is closed
            assert connection.ask("/").status == 200
            assert connection.ask("/admin/login/").status == 200
    for connection in tried:
        connection.close()


def measure(setup: Setup) -> tuple[Tree, Tree]:
    """When all are ready, and after work."""
    with tempfile.TemporaryDirectory(prefix="gd") as directory:
        folder = Path(directory)
        (folder / "site_in_one.py").write_text(SITE)
        arguments = (f"site_in_one:{setup.interface}", "--interface", setup.interface)
        arguments += ("--port", "0", "--workers", str(WORKERS), *OPTIONS[setup.option])
        with Daemon(folder, arguments=arguments) as daemon:
            daemon.wait_for_log("Started worker-", WORKERS)
            wait_until(lambda: len(daemon.workers()) == WORKERS + bool(setup.option))
            if setup.option == "refork_after":
                work(daemon)
                daemon.wait_for_log("Stopped worker-", WORKERS)  # all but the heir
                wait_until(lambda: len(daemon.workers()) == WORKERS + 1)
            ready = weigh(daemon)
            work(daemon)
            return ready, weigh(daemon)


def row(setup: Setup, when: str, tree: Tree) -> str:
    cells = [setup.interface, setup.option or "neither", when]
    cells += [f"{figure / 1024:.1f}" for figure in (*tree, tree.sum)]
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write the page")
    options = parser.parse_args()
    rows, spared = [], []
    for interface in ("wsgi", "asgi"):
        found = {option: measure(Setup(interface, option)) for option in OPTIONS}
        for option, trees in found.items():
            for index, when in enumerate(("ready", "after work")):
                tree, alone = trees[index], found[""][index]
                rows.append(row(Setup(interface, option), when, tree))
                if option:
                    share, whole = 1 - tree.workers / alone.workers, 1 - tree.sum / alone.sum
                    cells = (interface, option, when, f"{share:.0%}", f"{whole:.0%}")
                    spared.append(("| " + " | ".join(cells) + " |", share))
    table = "\n".join(rows)
    shares = "\n".join(line for line, _ in spared)
    versions = (
        f"granian-d {granian_d.__version__}, CPython {platform.python_version()}, Django"
        f" {django.__version__}, uvloop {uvloop.__version__}, {' '.join(platform.libc_ver())}, Linux"
        f" {platform.release()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    )
    page = PAGE_TEXT.format(
        workers=WORKERS, requests=REQUESTS, versions=versions, table=table, shares=shares
    )
    print(page)
    if options.write:
        PAGE.write_text(page)
    return 0 if all(share >= GOAL for _, share in spared) else 1


PAGE_TEXT = """# What preload spares

Written by `python -m tests.process.preload_memory --write`: a Django site with the admin, {workers}
workers; PSS (`/proc/PID/smaps_rollup`) when all are ready, and when each has answered {requests}
requests, half of them the admin's login form. With `refork_after`, ready is when all workers come from
one that was warmed by a hundred requests.

{versions}

PSS in MiB:

| interface | option | | workers | mold | master | tree |
|---|---|---|---|---|---|---|
{table}

Less than with neither:

| interface | option | | workers | tree |
|---|---|---|---|---|
{shares}
"""

if __name__ == "__main__":
    sys.exit(main())
