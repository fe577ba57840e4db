"""No idle connection is closed under its client's feet."""

from __future__ import annotations

import http.client

import pytest

from tests.process.daemon import wait_until


def test_an_idle_connection_outlives_a_reload_and_is_answered(serve):
    daemon = serve(1)
    connection = daemon.connection()
    old = connection.ask().text.split()[1]
    daemon.reload()
    answer = connection.ask()
    assert answer.status == 200
    assert answer.text.split()[1] == old, "the worker that held it answers"
    assert answer.fields["connection"] == "close"
    wait_until(lambda: int(old) not in daemon.workers())


def test_a_connection_that_has_not_spoken_yet_is_answered_too(serve):
    daemon = serve(1)
    (old,) = daemon.workers()
    sock = daemon.dial()
    count = daemon.get().text  # the worker has been through its accept queue since
    assert count.endswith(str(old))
    daemon.reload()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert sock.recv(17) == b"HTTP/1.1 200 OK\r\n"


def test_an_idle_connection_goes_when_its_idle_time_is_over(serve):
    daemon = serve(1, more="http1.keep_alive_timeout = 1")
    connection = daemon.connection()
    old = int(connection.ask().text.split()[1])
    daemon.reload()
    wait_until(lambda: old not in daemon.workers())
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.ask()


def test_an_idle_connection_does_not_hold_up_a_stop(serve):
    daemon = serve(1, more="workers_kill_timeout = 600\nhttp1.keep_alive_timeout = 600")
    connection = daemon.connection()
    assert connection.ask().status == 200
    assert daemon.stop() == 0
    assert "Drain budget spent" not in daemon.log


def test_a_long_request_outlives_many_reloads(serve):
    daemon = serve(1)
    connection = daemon.connection()
    connection.request("GET", "/slow?3")
    for _ in range(3):
        daemon.reload()
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (200, "close")


def test_an_upload_under_way_outlives_a_reload(serve):
    daemon = serve(1)
    sock = daemon.dial()
    sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    assert daemon.get().status == 200
    daemon.reload()
    sock.sendall(b"67890")
    with sock.makefile("rb") as file:
        answer = file.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n10")


def test_a_stream_outlives_the_requests_of_its_worker(serve):
    """Two budgets: what is being answered goes on while what is not is cut, and named."""
    daemon = serve(1, more="workers_kill_timeout = 1\nworkers_stream_timeout = 60")
    (old,) = daemon.workers()
    slow, stream = daemon.connection(), daemon.connection()
    stream.request("GET", "/stream?100000")
    answer = stream.getresponse()
    assert answer.read(2) == b"0\n"
    slow.request("GET", "/slow?60")
    daemon.reload()
    with pytest.raises((http.client.HTTPException, OSError)):
        slow.getresponse()
    daemon.wait_for_log("Drain budget spent: cut 1 connection(s) with 1 request(s): GET /slow (")
    assert old in daemon.workers()
    said = int(answer.read1().split()[-1])
    assert int(answer.readline()) > said, "and it goes on"
    answer.close()
    stream.close()
    wait_until(lambda: old not in daemon.workers())
    assert "slow?" not in daemon.log, "no query is told"
    assert "Killing worker" not in daemon.log


def test_a_stop_waits_for_requests_longer_than_for_streams(serve):
    daemon = serve(1, more="workers_kill_timeout = 60\nworkers_stream_timeout = 1")
    slow, stream = daemon.connection(), daemon.connection()
    slow.request("GET", "/slow?3")
    stream.request("GET", "/stream?1000")
    answer = stream.getresponse()
    daemon.signal("TERM")
    with pytest.raises((http.client.HTTPException, OSError)):
        answer.read()
    assert slow.getresponse().status == 200
    assert daemon.wait() == 0
    assert "GET /stream (streaming, " in daemon.log
