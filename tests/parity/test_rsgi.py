"""RSGI through a daemon: hooks by worker, disconnections, sessions."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.parity.h2_stream import Stream
from tests.process.daemon import wait_until


@pytest.fixture(scope="module")
def daemon(serving):
    return serving("rsgi_served", "rsgi")


def notes(daemon):
    path = daemon.directory / "notes"
    return path.read_text().splitlines() if path.exists() else []


def noted(daemon, text):
    """Wait until the application has noted it."""
    wait_until(lambda: any(line.partition(" ")[2] == text for line in notes(daemon)))


def test_a_status_that_is_none_harms_nobody(daemon):
    before = daemon.get("/pid").text
    assert daemon.get("/status?1000").status == 500
    assert daemon.get("/pid").text == before


def test_a_stream_ends_with_its_block(daemon):
    assert daemon.get("/block").text == "whole"


def test_a_stream_that_nobody_reads_is_held_back(daemon):
    sock = daemon.dial()
    sock.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
    held = "held back "
    wait_until(lambda: any(held in line for line in notes(daemon)))
    (line,) = [line for line in notes(daemon) if held in line]
    assert int(line.rpartition(" ")[2]) < 1 << 24, "what the kernel and we hold for one peer"


def test_a_peer_that_leaves_is_told(daemon):
    with daemon.dial() as sock:
        sock.sendall(b"GET /listen?close HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.recv(100)
    noted(daemon, "gone close")


def test_a_stream_of_http_2_that_is_reset_is_told(daemon):
    with socket.create_connection(("127.0.0.1", daemon.port), 30) as sock:
        stream = Stream(sock, "/listen?reset")
        stream.read(4)
        stream.reset()
        noted(daemon, "gone reset")


def test_a_connection_that_is_used_again_has_not_gone(daemon):
    connection = daemon.connection()
    assert connection.ask("/watched").text == "watched"
    assert connection.ask("/pid").status == 200
    noted(daemon, "watched False")


def test_a_session_with_all_that_rsgi_lacks(daemon):
    address = f"ws://127.0.0.1:{daemon.port}/"
    with connect(address, subprotocols=["chat", "other"]) as session:
        assert (session.subprotocol, session.response.headers["x-room"]) == ("chat", "7")
        assert session.recv() == "ProtocolError: RSGI protocol error"  # of the second accept
        session.send("x")
        with pytest.raises(ConnectionClosedError) as caught:
            session.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "enough")
    with connect(address, subprotocols=["chat"]) as session:
        session.recv()
        session.close(4002, "bye")
    noted(daemon, "closed 4002 bye")


def test_hooks_are_called_once_in_each_worker(serving):
    own = serving("rsgi_served", "rsgi", workers=2)
    own.wait_for_log("Started worker-", 2)
    own.get("/pid")
    assert own.stop() == 0
    lives: dict[str, list[str]] = {}
    for line in notes(own):
        pid, _, text = line.partition(" ")
        lives.setdefault(pid, []).append(text)
    assert len(lives) == 2
    assert sorted(lives.values(), key=len) == [
        ["init False", "del False"],
        ["init False", "request", "del False"],
    ]
