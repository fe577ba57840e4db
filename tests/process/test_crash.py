"""Any one process dies: the others do not notice, and it is back."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from tests.process.daemon import alive, fetch, wait_until
from tests.process.load import Load


def test_a_killed_worker_is_back_and_the_other_one_unharmed(serve):
    daemon = serve(2)
    victim = daemon.workers()[0]
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in daemon.workers() and len(daemon.workers()) == 2)
        daemon.wait_for_log("Started worker-", 3)
        load.more()
    assert f"Unexpected exit from worker-1 (PID {victim}): SIGKILL" in daemon.log
    # What the victim held is lost with it: at most one request for each of the nine clients.
    # Nothing was refused, and nothing of the other worker's was lost.
    assert len(load.result["lost"]) <= 9
    assert not [loss for loss in load.result["lost"] if loss.startswith("connect")]


def test_a_death_ends_the_service_where_the_dead_are_not_replaced(serve):
    daemon = serve(2, more="respawn_failed_workers = false")
    os.kill(daemon.workers()[0], 9)
    assert daemon.wait() == 1
    assert "Worker-1 is not replaced (respawn_failed_workers), the service ends" in daemon.log
    assert "Stopped worker-2 (generation 1)" in daemon.log, "in good order"


def test_the_requests_of_the_other_worker_go_on(serve):
    """A long request on each worker; one worker is killed; the other's answer comes."""
    daemon = serve(2)
    held = {}
    connections = []
    while len(held) < 2:
        connection, pid = open_connection(daemon)
        connections.append(connection)
        if pid not in held:
            held[pid] = connection
    victim, survivor = held
    held[survivor].request("GET", "/slow?1")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not alive(victim))
    answer = held[survivor].getresponse()
    assert (answer.status, answer.read().split()[1]) == (200, str(survivor).encode())


def open_connection(daemon):
    connection = daemon.connection()
    return connection, int(connection.ask().text.split()[1])


def test_a_killed_master_takes_its_workers_along(serve, deploy):
    """Also a worker whose loop does not turn: the kernel sees to it, not the worker."""
    daemon = serve(2, more="workers_stall_timeout = 60")
    workers = daemon.workers()
    hang = fetch_in_background(daemon, "/hang")
    wait_until(lambda: any(in_sleep(pid) for pid in workers))
    os.kill(daemon.pid, signal.SIGKILL)
    killed = time.monotonic()
    daemon.wait()
    wait_until(lambda: not any(alive(pid) for pid in workers))
    assert time.monotonic() - killed < 1.0 or not any(alive(pid) for pid in workers)
    hang.close()


def in_sleep(pid: int) -> bool:
    """The process is inside time.sleep (clock_nanosleep), not in its loop's epoll."""
    with open(f"/proc/{pid}/syscall") as file:
        return file.read().split()[0] in ("230", "115")  # x86-64, aarch64


def fetch_in_background(daemon, path):
    sock = daemon.dial()
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def test_a_worker_that_hangs_is_dumped_and_replaced(serve):
    daemon = serve(2, more="workers_stall_timeout = 2")
    workers = set(daemon.workers())
    with fetch_in_background(daemon, "/hang"):
        daemon.wait_for_log("made no progress for")
        daemon.wait_for_log("Started worker-", 3)
    assert "in app" in daemon.log, "faulthandler has written where it hung"
    assert "served.py" in daemon.log
    wait_until(lambda: len(set(daemon.workers()) & workers) == 1 and len(daemon.workers()) == 2)
    assert daemon.get().status == 200


def test_a_crash_loop_slows_down_and_the_service_lives(serve):
    """One slot's worker dies whenever it is asked; the daemon outlives all of it."""
    daemon = serve(1)
    for number in range(4):
        with contextlib.suppress(OSError):
            daemon.get("/die")
        daemon.wait_for_log("Started worker-1", number + 2)
    assert "keeps dying: next try in 0.5 s" in daemon.log
    assert "keeps dying: next try in 1.0 s" in daemon.log
    assert daemon.get().status == 200
    assert daemon.process.poll() is None


def test_an_application_that_fails_to_start_ends_a_first_start(make_daemon, deploy):
    deploy("one", "raise RuntimeError('no database')")
    daemon = make_daemon(2).start()
    assert daemon.wait() == 70
    assert "RuntimeError: no database" in daemon.log
    assert 'served.py", line' in daemon.log, "the traceback is told"
    assert "READY=1" not in str(daemon.messages)


def test_a_bad_configuration_ends_with_78_and_one_line(make_daemon):
    daemon = make_daemon(2, more="wrokers = 3").start()
    assert daemon.wait() == 78
    assert daemon.log.count("\n") == 1
    assert "app.toml:7: wrokers: unknown key; did you mean workers?" in daemon.log


def test_an_address_in_use_ends_with_71_and_names_it(serve, make_daemon, tmp_path):
    first = serve(1)
    port = first.port
    second = make_daemon(1)
    second.config.write_text(second.config.read_text().replace("port = 0", f"port = {port}"))
    second.log_path = tmp_path / "second.log"
    second.start()
    assert second.wait() == 71
    assert f"cannot listen on tcp:127.0.0.1:{port}: Address already in use" in second.log
    assert fetch(("127.0.0.1", port)).status == 200
