"""What each signal does to a serving daemon."""

from __future__ import annotations

import functools
import os
import signal
import socket

import pytest

from tests.process.daemon import alive, fetch, wait_until
from tests.process.load import Load


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_stop_finishes_what_is_under_way(serve, name):
    daemon = serve(2)
    connection = daemon.connection()
    connection.request("GET", "/slow?1")
    port, workers = daemon.port, daemon.workers()
    daemon.signal(name)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("connection") == "close"
    assert answer.read()
    assert daemon.wait() == 0
    assert not any(alive(pid) for pid in workers)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert "Granian shutdown completed, see ya!" in daemon.log
    assert "Application" not in daemon.log


def test_a_stop_under_load_breaks_no_answer(serve):
    """Refused is what a stopped service is; cut short it must not be."""
    daemon = serve(2)
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        assert daemon.stop() == 0
    broken = [loss for loss in load.result["lost"] if not loss.startswith("connect")]
    # A connection that was in the accept queue when its listener closed is reset by the kernel.
    assert [loss for loss in broken if "Incomplete" in loss and "0 bytes" not in loss] == []


def test_a_stop_is_bounded(serve):
    daemon = serve(1, more="workers_kill_timeout = 1")
    connection = daemon.connection()
    connection.request("GET", "/slow?600")
    daemon.get()  # the worker has been round its loop since
    assert daemon.stop() == 0
    assert "Drain budget spent: cut 1 connection(s)" in daemon.log


def test_a_second_stop_ends_at_once(serve):
    daemon = serve(1, more="workers_kill_timeout = 600")
    connection = daemon.connection()
    connection.request("GET", "/slow?600")
    daemon.signal("TERM")
    daemon.wait_for("STOPPING=1")
    daemon.signal("TERM")
    assert daemon.wait() == 0


def test_quit_ends_at_once(serve):
    daemon = serve(2, more="workers_kill_timeout = 600")
    connection = daemon.connection()
    connection.request("GET", "/slow?600")
    workers = daemon.workers()
    daemon.signal("QUIT")
    assert daemon.wait() == 0
    assert not any(alive(pid) for pid in workers)


def test_a_stop_during_the_start(make_daemon, deploy):
    deploy("one", "import time; time.sleep(600)")
    daemon = make_daemon(2).start()
    daemon.wait_for_log("Spawning worker-2")
    assert daemon.stop() == 0


def test_ttin_and_ttou_change_the_number_of_workers(serve):
    daemon = serve(1)
    with Load(("127.0.0.1", daemon.port)) as load:
        daemon.signal("TTIN")
        daemon.wait_for_log("Number of workers is now 2")
        daemon.wait_for_log("Started worker-2")
        load.more(50)
        daemon.signal("TTOU")
        wait_until(lambda: len(daemon.workers()) == 1)
        daemon.signal("TTOU")
        daemon.wait_for_log("Number of workers is now 1", 2)
        load.more(50)
    assert load.result["lost"] == []
    assert len(daemon.workers()) == 1


def test_usr1_reopens_the_log_files_here_and_in_the_workers(serve, tmp_path):
    more = (
        f'log.file = "{tmp_path}/d.log"\naccess_log.enabled = true\n'
        f'access_log.file = "{tmp_path}/a.log"'
    )
    daemon = serve(2, more=more)
    log, access = tmp_path / "d.log", tmp_path / "a.log"
    port = int(log.read_text().split("Listening at: http://127.0.0.1:")[1].split("\n")[0])
    ask = functools.partial(fetch, ("127.0.0.1", port))
    ask("/before")
    for file in (log, access):
        file.rename(file.with_suffix(".1"))
    daemon.signal("USR1")
    wait_until(lambda: log.exists() and "Log files reopened" in log.read_text())
    wait_until(access.exists)
    # The message reaches the workers in its own time; each request tells where it was logged.
    wait_until(lambda: ask("/after").status == 200 and "/after" in access.read_text())
    assert "/before" in (tmp_path / "a.1").read_text()


def test_sigterm_to_a_worker_drains_and_replaces_it(serve):
    daemon = serve(2)
    victim = daemon.workers()[0]
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more(50)
        os.kill(victim, signal.SIGTERM)
        wait_until(lambda: victim not in daemon.workers() and len(daemon.workers()) == 2)
        daemon.wait_for_log("Started worker-", 3)
        load.more(50)
    assert load.result["lost"] == []


@pytest.mark.parametrize("name", ["HUP", "INT", "USR1", "USR2", "TTIN", "TTOU", "QUIT"])
def test_signals_meant_for_the_master_do_not_hurt_a_worker(serve, name):
    """Ctrl-C and a closing terminal reach the whole process group."""
    daemon = serve(1)
    (worker,) = daemon.workers()
    os.kill(worker, getattr(signal, f"SIG{name}"))
    assert daemon.get().status == 200
    assert daemon.workers() == [worker]
