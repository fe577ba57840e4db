"""The manager's store of descriptors, spoken to a manager on a real socket."""

from __future__ import annotations

import os
import socket
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.systemd import fdstore
from granian_d.systemd.activation import InheritedSocket
from granian_d.systemd.fdstore import FdStore, is_stored, listener_name
from granian_d.systemd.notify import Notifier
from tests.unit.supervisor.processes import open_fds


class Manager:
    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)

    def heard(self) -> list[tuple[str, list[tuple[int, ...]]]]:
        """Text of each message, and what its descriptors are."""
        messages = []
        try:
            while True:
                data, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
                messages.append((data.decode(), [os.fstat(fd)[:3] for fd in fds]))
                for fd in fds:
                    os.close(fd)
        except BlockingIOError:
            return messages


@pytest.fixture
def manager(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    made = Manager(str(tmp_path / "n"))
    yield made
    made.socket.close()


@pytest.fixture
def notifier(manager):
    made = Notifier(os.environ, os.getpid())
    yield made
    made.close()


@pytest.fixture
def thing(tmp_path):
    fd = os.open(tmp_path / "thing", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_what_is_put_is_kept_under_its_name(manager, notifier, thing):
    store = FdStore(notifier)
    before = open_fds()
    store.put("granian-d.x", thing)
    assert open_fds() == before
    assert manager.heard() == [("FDSTORE=1\nFDNAME=granian-d.x", [os.fstat(thing)[:3]])]
    store.put("granian-d.x", thing, replace=True)
    store.remove("granian-d.x")
    removed = ("FDSTOREREMOVE=1\nFDNAME=granian-d.x", [])
    kept = ("FDSTORE=1\nFDNAME=granian-d.x", [os.fstat(thing)[:3]])
    assert manager.heard() == [removed, kept, removed]


def test_a_manager_that_does_not_read_is_told_later(manager, notifier, thing):
    store = FdStore(notifier)
    store.put("granian-d.a", thing)
    before = open_fds()
    while notifier.drop("granian-d.fill"):
        pass
    store.remove("granian-d.a")
    store.put("granian-d.b", thing)
    store.put("granian-d.c", thing)
    store.remove("granian-d.c")
    heard = manager.heard()
    assert ("FDSTORE=1\nFDNAME=granian-d.b", [os.fstat(thing)[:3]]) not in heard
    store.flush()
    assert manager.heard() == [
        ("FDSTOREREMOVE=1\nFDNAME=granian-d.a", []),
        ("FDSTORE=1\nFDNAME=granian-d.b", [os.fstat(thing)[:3]]),
        ("FDSTOREREMOVE=1\nFDNAME=granian-d.c", []),
    ]
    store.flush()
    assert manager.heard() == []
    assert open_fds() == before


def test_a_child_lets_go_of_what_waits(manager, notifier, thing):
    store = FdStore(notifier)
    before = open_fds()
    while notifier.drop("granian-d.fill"):
        pass
    store.put("granian-d.b", thing)
    store.close()
    assert open_fds() == before


def test_where_there_is_no_manager_nothing_is_kept(thing):
    store = FdStore(Notifier({}, 7))
    before = open_fds()
    store.put("granian-d.x", thing)
    store.remove("granian-d.x")
    assert not store.exists
    assert open_fds() == before


def test_what_came_back_is_taken_once_or_dropped(manager, notifier, tmp_path):
    passed = [
        InheritedSocket(name, os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT))
        for name in ("granian-d.a@7.8", "granian-d.ab", "stored", "granian-d.ab")
    ]
    store = FdStore(notifier, passed)
    found = store.take("granian-d.a")
    assert found == ("granian-d.a@7.8", "7.8", passed[0].fd)
    assert store.take("granian-d.a") is None
    store.drop_rest()
    for entry in passed[1:]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(entry.fd)
    os.close(passed[0].fd)
    assert manager.heard() == [
        ("FDSTOREREMOVE=1\nFDNAME=granian-d.ab", []),
        ("FDSTOREREMOVE=1\nFDNAME=stored", []),
    ]


@given(st.text(), st.text())
def test_every_key_has_a_name_of_its_own_that_systemd_takes(one, other):
    names = [listener_name(key) for key in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert not set(name) - set(string.printable[:94]) - {" "}
        assert not set(name) & set(":@ ")
        assert is_stored(name)


def test_a_name_that_is_too_long_is_not_kept(manager, notifier, thing):
    name = listener_name("unix:/" + "é" * 100)
    assert len(name) > fdstore.LONGEST_NAME
    FdStore(notifier).put(name, thing)
    assert manager.heard() == []


def test_names_of_socket_units_are_not_ours():
    assert not any(map(is_stored, ("http", "unknown", "connection", "granian-dx", "web.socket")))
