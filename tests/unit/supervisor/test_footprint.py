"""What a process takes of memory, and what waits in an accept queue: asked of the kernel."""

from __future__ import annotations

import os
import socket

from granian_d.observe.footprint import Footprint, footprint
from granian_d.supervisor.listeners import Listeners
from tests.unit.plan.specimens import tcp, unix


def test_what_is_shared_counts_in_part():
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reading, 1)
        os._exit(0)
    taken = footprint(pid)
    os.write(writing, b".")
    os.waitpid(pid, 0)
    assert 0 < taken.pss < taken.rss


def test_nobody_takes_nothing():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert footprint(pid) == Footprint(0, 0)


def test_queued_connections_are_counted(tmp_path):
    listeners = Listeners(())
    plans = [tcp(), tcp("127.0.0.2"), unix(tmp_path / "s")]
    listeners.open(plans)
    assert listeners.queued() == 0
    sockets = listeners.sockets(plans)
    clients = [socket.create_connection(sock.getsockname()) for sock in (*sockets[:2], sockets[0])]
    assert listeners.queued() == 3
    sockets[0].accept()[0].close()
    assert listeners.queued() == 2
    for client in clients:
        client.close()
    listeners.retain(())
