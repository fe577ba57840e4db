"""One daemon for each (framework, way of starting it), shared by all tests that can share it."""

from __future__ import annotations

import socket
import uuid
from contextlib import contextmanager
from functools import partial

import pytest

from tests.apps.frameworks import FRAMEWORKS
from tests.apps.running import Site, activated_daemon, first_answer, need_activate, site_daemon

WORKERS = 2


@pytest.fixture(scope="session")
def running(request, tmp_path_factory):
    """The sites, by door, that one run of the daemon serves."""
    name, way = request.param
    folder = tmp_path_factory.mktemp(f"{name}-{way}")
    serve = {"direct": _direct, "activated": _on_demand}.get(way) or partial(_direct, way=way)
    with serve(FRAMEWORKS[name], folder) as sites:
        try:
            yield sites
        finally:
            for site in sites.values():
                site.close()


@contextmanager
def _direct(framework, folder, way="auto"):
    """Two workers on uvloop, which listen on TCP and on a unix socket, for both versions of HTTP.

    "single-" before the engine is for what goes from request to request in one worker's memory.
    """
    engine = way.removeprefix("single-")
    workers = WORKERS if engine == way else 1
    path = str(folder / "site.sock")
    listen = ("--listen", "127.0.0.1:0", "--listen", f"unix:{path}")
    run = ("--workers", str(workers), "--loop", "uvloop", "--engine", engine)
    with site_daemon(framework, folder, *run, *listen) as daemon:
        daemon.wait_for_log("Started worker-", workers)  # READY=1 is said with the first of them
        yield {
            "tcp": Site(framework, daemon, ("127.0.0.1", daemon.port)),
            "unix": Site(framework, daemon, path),
            "h2": Site(framework, daemon, ("127.0.0.1", daemon.port), h2=True),
        }


@contextmanager
def _on_demand(framework, folder):
    """One worker on asyncio's loop, started by the first connection; its socket has a name."""
    need_activate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        daemon = activated_daemon(
            framework,
            folder,
            *("--loop", "asyncio", "--listen", "systemd:web"),
            sockets={"web": listener},
            tool=("--fdname=web",),
        ).start()
    try:
        first_answer(daemon, address, "/json")
        yield {"activated": Site(framework, daemon, address)}
    finally:
        daemon.close()


@pytest.fixture
def site(running, door):
    """The site, through the door that this test uses."""
    return running[door]


@pytest.fixture
def token():
    """A word of this test's own, for notes, gates and files."""
    return uuid.uuid4().hex[:12]
