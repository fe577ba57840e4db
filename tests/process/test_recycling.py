"""Workers replaced though nothing is wrong with them, under load: nobody notices.

And their number: it follows the load, and comes to nothing where nobody is connected.
"""

from __future__ import annotations

import socket
import threading

import pytest

from tests.process.daemon import fetch, wait_until
from tests.process.load import Load

# Each keeps the daemon replacing workers all the time, one after the other.
REASONS = {
    "requests": (1, "workers_max_requests = 50", "it has answered "),
    "lifetime": (2, "workers_lifetime = 2", "it has served for "),
    "memory": (2, "workers_max_pss = 1\nrss_sample_interval = 1", "it has too much memory"),
    "resident": (1, "workers_max_rss = 1\nrss_sample_interval = 1", "it has too much memory"),
}
REPLACEMENTS = 4


@pytest.mark.parametrize(("workers", "limit", "reason"), REASONS.values(), ids=REASONS)
def test_replacing_workers_loses_nothing(serve, workers, limit, reason):
    daemon = serve(workers, more=limit)
    with Load(("127.0.0.1", daemon.port)) as load:
        daemon.wait_for_log("Respawning worker-", REPLACEMENTS)
        daemon.wait_for_log("Stopped worker-", REPLACEMENTS - 1)
        load.more(50)
    assert load.result["lost"] == []
    assert f": {reason}" in daemon.log
    assert "Unexpected exit" not in daemon.log


def test_never_more_than_one_is_replaced_at_a_time(serve):
    daemon = serve(3, more="workers_lifetime = 1\nsurge = 1")
    most = 0

    def many_were_replaced():
        nonlocal most
        most = max(most, len(daemon.workers()))
        return daemon.log.count("Stopped worker-") >= REPLACEMENTS

    wait_until(many_were_replaced)
    assert most <= 4


def test_a_worker_of_which_a_request_does_not_end_is_replaced(serve):
    daemon = serve(1, more="request_kill_timeout = 2\nworkers_kill_timeout = 1")
    stuck = daemon.dial()
    stuck.sendall(b"GET /slow?600 HTTP/1.1\r\nHost: x\r\n\r\n")
    with Load(("127.0.0.1", daemon.port)) as load:
        daemon.wait_for_log("is at a request for ")
        daemon.wait_for_log("Started worker-1", 2)
        load.more(50)
    assert load.result["lost"] == []
    daemon.wait_for_log("GET /slow")  # the request that it held is named


def test_the_number_of_workers_follows_what_waits(serve):
    daemon = serve(1, more="workers_max = 2\nbackpressure = 1")
    address = ("127.0.0.1", daemon.port)
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            fetch(address, "/slow?0.2")

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        daemon.wait_for_log("Number of workers is now 2")
        daemon.wait_for_log("Started worker-2")
    finally:
        stop.set()
        for client in clients:
            client.join()


def test_who_is_not_needed_leaves_and_the_queue_stays(make_daemon, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        daemon = make_daemon(1, more="idle_exit = 2", sockets={"http": server}).start()
        daemon.wait_for("READY=1")
        address = server.getsockname()
        fetch(address)
        assert daemon.wait() == 0
        assert "Nobody was connected for 2 s" in daemon.log
        # The socket is the manager's: who connects now waits for the next start.
        with socket.create_connection(address) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            daemon.start()
            assert waiting.recv(12) == b"HTTP/1.1 200"


def test_leaving_needs_somebody_who_holds_the_sockets(serve):
    daemon = serve(1, more="idle_exit = 1")
    assert "idle_exit: no effect" in daemon.log
