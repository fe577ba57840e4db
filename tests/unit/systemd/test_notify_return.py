"""A service manager that went away and came back is spoken to again."""

from __future__ import annotations

import os
import socket

import pytest

from granian_d.systemd.notify import Notifier


# The library leaves the socket that could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_manager_with_a_new_socket_under_its_name_is_heard_again(kind, tmp_path, monkeypatch):
    """A connected datagram socket stays with the old one: ENOTCONN, for ever."""
    name = str(tmp_path / "notify") if kind == "path" else f"@granian-d-return-{os.getpid()}"
    address = "\0" + name[1:] if kind == "abstract" else name
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as before:
        before.bind(address)
        notifier = Notifier(os.environ, os.getpid())
    notifier.ready("lost")
    assert notifier.take_failure()
    if kind == "path":
        os.unlink(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as after:
        after.bind(address)
        after.setblocking(False)
        notifier.ready("found")
        failure = notifier.take_failure()
        notifier.close()
        assert failure == ""
        assert after.recv(4096) == b"READY=1\nSTATUS=found"
