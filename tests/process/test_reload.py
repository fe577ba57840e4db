"""SIGHUP under load: a reload either takes effect or changes nothing, and never loses a request."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from datetime import datetime, timedelta

import pytest

from tests.process.daemon import alive, wait_until
from tests.process.load import Load

RELOADS = 8
IMPORTING = """
import time
open(f"importing.{os.getpid()}", "w").close()
"""
HANGS = f"{IMPORTING}time.sleep(600)"
FAILS_LATE = f"{IMPORTING}time.sleep(1); raise RuntimeError('late')"


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_lose_nothing(serve, workers):
    daemon = serve(workers)
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        for number in range(RELOADS):
            assert f"gen {number + 2}, {workers} workers" in daemon.reload()
            load.more(20)
    assert load.result["lost"] == []
    assert load.result["answered"] > RELOADS * 20


def test_a_reload_brings_the_new_code(serve, deploy):
    daemon = serve()
    assert daemon.get().text.startswith("one ")
    deploy("two")
    daemon.reload()
    assert daemon.get().text.startswith("two ")


def test_the_old_worker_serves_on_for_the_respawn_interval(serve):
    daemon = serve(1, more='respawn_interval = 1\nlog.format = "json"')
    daemon.reload()
    records = [json.loads(line) for line in daemon.log.splitlines()]
    at = {(one["event"], one.get("generation")): one["time"] for one in records}
    ready, draining = (
        datetime.fromisoformat(at[one]) for one in (("worker_ready", 2), ("worker_draining", 1))
    )
    assert draining - ready >= timedelta(seconds=0.99)


BREAKS = {
    "it raises on import": "raise RuntimeError('no database')",
    "it has a syntax error": "def (",
    "it exits on import": "import sys; sys.exit('bye')",
    "its attribute has gone": "del app",
    "its startup fails": (
        "async def lifespan(receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    ),
    "it dies on import": "import os; os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_a_broken_application_changes_nothing(serve, deploy, broken):
    daemon = serve()
    before = set(daemon.workers())
    with Load(("127.0.0.1", daemon.port), expected="one ") as load:
        load.more()
        deploy("two", broken)
        assert "last reload failed" in daemon.reload()
        load.more()
    assert load.result["lost"] == []
    wait_until(lambda: set(daemon.workers()) == before)
    assert "Reload failed, generation 1 serves on" in daemon.log
    deploy("three")
    assert "gen 3, 2 workers" in daemon.reload()
    assert daemon.get().text.startswith("three ")


def test_a_startup_that_hangs_changes_nothing(serve, deploy):
    daemon = serve(more="workers_startup_timeout = 1")
    with Load(("127.0.0.1", daemon.port), expected="one ") as load:
        load.more()
        deploy("two", "import time; time.sleep(600)")
        assert "was not ready in 1 s" in daemon.reload()
        load.more()
    assert load.result["lost"] == []
    assert "time.sleep" not in daemon.get().text
    assert 'served.py"' in daemon.log, "the stacks of the hanging import are dumped"


CONFIGS = {
    "syntax": ("workers = = 2", "app.toml:"),
    "unknown key": ("wrokers = 2", "wrokers"),
    "wrong type": ('backlog = "many"', "backlog"),
    "out of range": ("backlog = 1", "backlog"),
    "address in use": ('listen = ["127.0.0.1:{taken}"]', "cannot listen on"),
}


@pytest.mark.parametrize(("line", "reason"), CONFIGS.values(), ids=CONFIGS)
def test_a_broken_configuration_changes_nothing(serve, line, reason):
    daemon = serve()
    before = set(daemon.workers())
    good = daemon.config.read_text()
    with serve_elsewhere() as taken, Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        daemon.config.write_text(good + line.format(taken=taken))
        status = daemon.reload()
        load.more()
    assert "last reload failed" in status
    assert reason in status
    assert load.result["lost"] == []
    assert set(daemon.workers()) == before
    daemon.config.write_text(good)
    assert "failed" not in daemon.reload()


@contextlib.contextmanager
def serve_elsewhere():
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_more_and_fewer_workers_by_reload(serve):
    daemon = serve(1)
    config = daemon.config.read_text()
    with Load(("127.0.0.1", daemon.port)) as load:
        for count in (3, 2, 1):
            daemon.config.write_text(config.replace("workers = 1", f"workers = {count}"))
            assert f"{count} workers" in daemon.reload()
            wait_until(lambda count=count: len(daemon.workers()) == count)
            load.more(50)
    assert load.result["lost"] == []


def test_a_listener_is_added_and_removed_without_touching_the_others(serve):
    path = tempfile.mktemp(prefix="gd", dir="/tmp")  # a path of sun_path's length
    daemon = serve(2, more='listen = ["127.0.0.1:0"]')
    config = daemon.config.read_text()
    port = daemon.port
    with Load(("127.0.0.1", port)) as load:
        for _ in range(3):
            both = config.replace(':0"]', f':0", "unix:{path}"]')
            daemon.config.write_text(both)
            daemon.reload()
            with Load(path) as other:
                other.more(50)
            assert other.result["lost"] == []
            daemon.config.write_text(config)
            daemon.reload()
            wait_until(lambda: not os.path.exists(path))
            load.more(50)
    assert load.result["lost"] == []
    assert daemon.port == port


def test_a_small_surge_rolls(serve):
    daemon = serve(3, more="surge = 1")
    most = 0
    with Load(("127.0.0.1", daemon.port)) as load:
        for _ in range(3):
            daemon.notifications()
            since = len(daemon.messages)
            daemon.signal("HUP")
            while not any("READY" in message for message in daemon.messages[since:]):
                most = max(most, len(daemon.workers()))
                daemon.notifications()
            load.more(50)
    assert load.result["lost"] == []
    assert most <= 4 + 1  # one more: the planner is a child of the master for a moment


def test_a_reload_during_a_reload_takes_its_place(serve, deploy, tmp_path):
    daemon = serve(2)
    deploy("two", HANGS)
    daemon.signal("HUP")
    wait_until(lambda: list(tmp_path.glob("importing.*")))
    deploy("three")
    assert "gen 3" in daemon.reload()
    assert daemon.get().text.startswith("three ")


def test_a_crash_during_a_failing_reload_is_replaced(serve, deploy, tmp_path):
    daemon = serve(2)
    deploy("two", FAILS_LATE)
    daemon.signal("HUP")
    wait_until(lambda: len(list(tmp_path.glob("importing.*"))) == 1)  # the canary
    first = daemon.workers()[0]
    deploy("one")
    os.kill(first, 9)
    daemon.wait_for_log("Reload failed")
    wait_until(lambda: not alive(first) and len(daemon.workers()) == 2)
    wait_until(lambda: daemon.log.count("(generation 1)") >= 3)
    assert daemon.get().text.startswith("one ")
