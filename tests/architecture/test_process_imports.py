"""What each kind of process has in its memory, looked at in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from granian_d.engine.choose import resolve
from tests.architecture.source import ROOT

# Where standard error is not the journal and no request is to be an entry.
_OF_THE_JOURNAL = (
    "granian_d.systemd.journal",
    "granian_d.systemd.pidfd",
    "granian_d.observe.entries",
    "granian_d.observe.access_entries",
    "granian_d.observe.catalog",
)

# Where nobody has configured Python's logging, or wants requests to be objects.
_OF_OTHER_LOGS = (
    "logging.config",
    "granian_d.observe.log_config",
    "granian_d.observe.access_json",
    "granian_d.observe.access_records",
)

# Where nobody asks for metrics.
_OF_METRICS = (
    "granian_d.interface.wsgi.account",
    "granian_d.observe.metrics",
    "granian_d.observe.metrics_page",
    "granian_d.observe.samples",
    "granian_d.supervisor.exporter",
    "granian_d.worker.exporter",
)

# Where no listener has HTTP/3.
_OF_HTTP3 = (
    "aioquic",
    "cryptography",
    "pylsqpack",
    "granian_d.engine.connection_ids",
    "granian_d.engine.datagrams",
    "granian_d.engine.pure.h3",
    "granian_d.engine.pure.quic",
    "granian_d.server.berths",
    "granian_d.supervisor.datagrams",
    "granian_d.transport.links",
    "granian_d.transport.mailbox",
    "granian_d.transport.steering",
    "granian_d.transport.udp",
    "granian_d.worker.halls",
)

# In the master before its first fork: settings and loops cost memory, threads and loops make a
# fork unsafe.
NOT_IN_THE_MASTER = (
    "pydantic",
    "pydantic_settings",
    "asyncio",
    "uvloop",
    "ssl",
    "h11",
    "concurrent.futures",
    "multiprocessing",
    "granian_d.settings",
    "granian_d.worker",
    "granian_d.interface",
    "granian_d.supervisor.reception",
    "granian_d.supervisor.report",
    "granian_d.supervisor.watcher",
    "watchfiles",
    *_OF_THE_JOURNAL,
    *_OF_OTHER_LOGS,
    *_OF_METRICS,
    *_OF_HTTP3,
)

# In a worker, and so in the memory that all workers share.
NOT_IN_A_WORKER = (
    "pydantic",
    "pydantic_settings",
    "pydantic_core",
    "email",
    "http.client",
    "http.server",
    "urllib.request",
    "multiprocessing",
    "granian_d.settings",
    "granian_d.interface.static",  # where there are no mounts
    "granian_d.worker.fronts",  # nor a path for health
    "granian_d.worker.development",
    *_OF_THE_JOURNAL,
    *_OF_OTHER_LOGS,
    *_OF_METRICS,
    *_OF_HTTP3,
)


def modules_after(code: str) -> set[str]:
    """The names in sys.modules of a new interpreter that has run `code`."""
    tail = "; import sys, json; print(json.dumps(sorted(sys.modules)))"
    # -P: what the interpreter finds is installed, not lying about in the current directory.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code + tail],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def preparing(interface="asgi", engine="auto", quic="None"):
    """What the master runs before its first fork."""
    return (
        "from types import SimpleNamespace as N; from granian_d.worker.main import prepare; "
        f"prepare(N(worker=N(loop='auto', interface={interface!r}, engine={engine!r}, http='auto', health='', static=None, forwarding=N()), access_log=N(enabled=True), tls=None, quic={quic}, listeners=(), pool=N(preload=True)))"
    )


@pytest.fixture(scope="module")
def master():
    return modules_after("import granian_d.cli.serve")


@pytest.fixture(scope="module")
def worker():
    return modules_after("import granian_d.cli.serve; " + preparing())


def test_the_master_is_what_it_should_be(master):
    assert {"granian_d.supervisor.loop", "granian_d.systemd.notify"} <= master
    assert not master.intersection(NOT_IN_THE_MASTER)


def test_a_worker_is_what_it_should_be(worker):
    engine = resolve("auto")
    assert {"asyncio", "granian_d.worker.main", f"granian_d.engine.{engine}.h1"} <= worker
    assert not worker.intersection(NOT_IN_A_WORKER)
    if engine == "native":
        assert not worker.intersection({"h11", "granian_d.engine.pure.h1"})


def test_granianctl_is_quick_to_ask():
    """A reload by the unit must not import what settings need."""
    imported = modules_after(
        "from granian_d.cli import granianctl; "
        "assert granianctl.main(['reload', '--wait', '--socket', '/nowhere']) == 69"
    )
    assert "granian_d.control.client" in imported
    assert not imported.intersection({*NOT_IN_THE_MASTER, "typing_extensions", "inspect"})


def test_what_every_python_has_already_proves_nothing():
    """The lists above would be worthless if a bare interpreter had loaded the names itself."""
    bare = modules_after("pass")
    assert not bare.intersection(NOT_IN_THE_MASTER + NOT_IN_A_WORKER)


@pytest.mark.parametrize("quic", ["None", "N()"])
@pytest.mark.parametrize("engine", ["auto", "pure"])
@pytest.mark.parametrize("interface", ["asgi", "asginl", "wsgi", "rsgi"])
def test_preparing_makes_neither_a_thread_nor_a_loop(interface, engine, quic):
    """`prepare` runs in the master, before the first fork: modules only."""
    code = preparing(interface, engine, quic) + (
        "; import asyncio, gc, threading; "
        "assert threading.active_count() == 1, threading.enumerate(); "
        "loops = [o for o in gc.get_objects() if isinstance(o, asyncio.AbstractEventLoop)]; "
        "assert not loops, loops"
    )
    found = modules_after(code)
    assert "uvloop" in found
    shared = {"aioquic", "granian_d.transport.udp", "granian_d.engine.pure.h3.endpoint"}
    assert found.intersection(shared) == (shared if quic != "None" else set())
