"""Who is measured: one row a server and interface."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import command_lines as start

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.cases import Case
    from benchmarks.command_lines import Setup

ROOT: Final = Path(__file__).parents[1]
OURS: Final = Path(sys.prefix) / "bin"
PEERS: Final = ROOT / ".venv-peers" / "bin"

# Debian keeps daemons where only root's PATH leads.
SEARCHED: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@dataclass(frozen=True)
class Server:
    """One row.

    Attributes:
        key: as the command line and the goals name it.
        label: as the report names it.
        interface: what the application speaks; "none" has no application.
        program: a path, or a name to be searched for.
        arguments: of the program, for a setup.
        speaks: what it is measured with beyond HTTP/1.1: h2, h3, websocket, tls, static.
        lacks: names of cases that it cannot be measured in, and why.
        requests_log: where it logs requests, in the setup's directory.
        stop_signal: ends it, workers and all.
    """

    key: str
    label: str
    interface: str
    program: str
    arguments: Callable[[Setup], list[str]]
    speaks: frozenset[str] = frozenset()
    lacks: dict[str, str] = field(default_factory=dict)
    requests_log: str = "output.log"
    stop_signal: signal.Signals = signal.SIGTERM

    def command(self, setup: Setup) -> list[str]:
        program = shutil.which(self.program, path=SEARCHED) or self.program
        return [program, *self.arguments(setup)]

    def takes(self, case: Case) -> bool:
        """Whether it is measured in this case."""
        return case.name not in self.lacks and case.needs <= self.speaks

    def missing(self) -> str | None:
        """What has to be installed before it can be measured."""
        if shutil.which(self.program, path=SEARCHED):
            return None
        if self.program == "nginx":
            return "nginx is missing: apt install nginx-light"
        return f"{os.path.basename(self.program)} is missing: make bench installs it"


GRANIAN_D: Final = str(OURS / "granian-d")
GRANIAN: Final = str(PEERS / "granian")
UVICORN: Final = str(PEERS / "uvicorn")
HYPERCORN: Final = str(PEERS / "hypercorn")
GUNICORN: Final = str(PEERS / "gunicorn")
PYTHON: Final = str(PEERS / "python")

THREAD: Final = {"pause": "one thread answers 100 requests/s at most, whoever serves"}
SYNC: Final = {**THREAD, "idle": "its sync worker closes each connection"}
UNLOGGED: Final = {"access-log": "it has no access log"}
NO_APPLICATION: Final = dict.fromkeys(("get-10k", "post-10k", "pause"), "it has no application")

ALL: Final = frozenset(("h2", "websocket", "tls"))
STATIC: Final = frozenset({"static"})

SERVERS: Final = (
    Server(
        "ours.asgi",
        "granian-d asgi",
        "asgi",
        GRANIAN_D,
        start.granian_d("asgi"),
        ALL | STATIC | {"h3"},
    ),
    Server("granian.asgi", "granian asgi", "asgi", GRANIAN, start.granian("asgi"), ALL | STATIC),
    Server("uvicorn.asgi", "uvicorn asgi", "asgi", UVICORN, start.uvicorn, ALL - {"h2"}),
    Server(
        "hypercorn.asgi",
        "hypercorn asgi",
        "asgi",
        HYPERCORN,
        start.hypercorn,
        frozenset({"h2", "h3"}),
    ),
    Server("gunicorn.asgi", "gunicorn asgi", "asgi", GUNICORN, start.gunicorn("asgi", "asgi")),
    Server(
        "fastpysgi.asgi",
        "fastpysgi asgi",
        "asgi",
        PYTHON,
        start.fastpysgi("asgi"),
        lacks=UNLOGGED,
        stop_signal=signal.SIGINT,
    ),
    Server("ours.rsgi", "granian-d rsgi", "rsgi", GRANIAN_D, start.granian_d("rsgi"), ALL),
    Server("granian.rsgi", "granian rsgi", "rsgi", GRANIAN, start.granian("rsgi"), ALL),
    Server("ours.wsgi", "granian-d wsgi", "wsgi", GRANIAN_D, start.granian_d("wsgi"), lacks=THREAD),
    Server("granian.wsgi", "granian wsgi", "wsgi", GRANIAN, start.granian("wsgi"), lacks=THREAD),
    Server(
        "gunicorn.gthread",
        "gunicorn wsgi, gthread",
        "wsgi",
        GUNICORN,
        start.gunicorn("wsgi", "gthread"),
        lacks=THREAD,
    ),
    Server(
        "gunicorn.sync",
        "gunicorn wsgi, sync",
        "wsgi",
        GUNICORN,
        start.gunicorn("wsgi", "sync"),
        lacks=SYNC,
    ),
    Server(
        "fastpysgi.wsgi",
        "fastpysgi wsgi",
        "wsgi",
        PYTHON,
        start.fastpysgi("wsgi"),
        lacks={**THREAD, **UNLOGGED},
        stop_signal=signal.SIGINT,
    ),
    Server(
        "nginx",
        "nginx return 200",
        "none",
        "nginx",
        start.nginx,
        STATIC,
        lacks=NO_APPLICATION,
        requests_log="access.log",
    ),
)
