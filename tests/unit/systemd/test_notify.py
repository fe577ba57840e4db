"""What the service manager hears, byte for byte, on a real datagram socket."""

from __future__ import annotations

import os
import re
import socket
import time

import pytest

from granian_d.systemd.notify import Notifier


class Manager:
    """The end of the socket on which a service manager listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[bytes]:
        messages = []
        try:
            while True:
                messages.append(self.socket.recv(65536))
        except BlockingIOError:
            return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    address = (
        f"@granian-d-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "n")
    )
    listening = Manager(address)
    # The library that writes to it reads the process's environment, not a copy.
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    yield listening
    listening.socket.close()


@pytest.fixture
def notifier(manager):
    made = Notifier(os.environ, os.getpid())
    yield made
    made.close()


def test_ready(manager, notifier):
    notifier.ready("gen 1, 2 workers, 0 req/s")
    assert manager.heard() == [b"READY=1\nSTATUS=gen 1, 2 workers, 0 req/s"]


def test_reloading_has_its_stamp_in_the_same_datagram(manager, notifier):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    (message,) = manager.heard()
    found = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", message)
    assert before <= int(found[1]) <= after


def test_stopping(manager, notifier):
    notifier.stopping("stopping, 2 workers left")
    assert manager.heard() == [b"STOPPING=1\nSTATUS=stopping, 2 workers left"]


def test_status_is_told_when_it_is_news(manager, notifier):
    notifier.ready("a")
    notifier.status("a")
    notifier.status("b")
    notifier.status("b")
    notifier.status("a")
    notifier.stopping("c")
    notifier.status("c")
    assert manager.heard() == [
        b"READY=1\nSTATUS=a",
        b"STATUS=b",
        b"STATUS=a",
        b"STOPPING=1\nSTATUS=c",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, b"10000000"), (0.5, b"500000"), (1 / 3, b"333333")]
)
def test_extend(manager, notifier, seconds, text):
    notifier.extend(seconds)
    assert manager.heard() == [b"EXTEND_TIMEOUT_USEC=" + text]


@pytest.mark.parametrize("text", ["läuft", "не запускается", "5 € 🎈"])
def test_the_reason_of_a_failed_reload_may_be_in_any_language(manager, notifier, text):
    """sd_notify(3): STATUS is UTF-8; the manager drops what is not."""
    notifier.status(text)
    assert manager.heard() == [f"STATUS={text}".encode()]


def test_what_cannot_be_encoded_does_not_end_the_master(manager, notifier):
    """Names of files come into reasons as they are, surrogates included."""
    notifier.status("no module \udcff")
    (message,) = manager.heard()
    assert message.startswith(b"STATUS=no module ")
    message.decode()


def test_a_status_is_one_line(manager, notifier):
    """A second line would be an assignment of its own."""
    notifier.status("failed\nSTOPPING=1")
    (message,) = manager.heard()
    assert b"STOPPING=1" not in message.splitlines()


# --- the watchdog --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "2500000"}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "7"}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": "7"}, 0.0),
        ({"WATCHDOG_USEC": "", "WATCHDOG_PID": "7"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "²"}, 0.0),
        ({"WATCHDOG_PID": "7"}, 0.0),
    ],
    ids=str,
)
def test_the_watchdog_is_fed_only_where_it_watches_us(manager, variables, watchdog_s):
    environ = {**variables, "NOTIFY_SOCKET": manager.address}
    notifier = Notifier(environ, 7)
    assert notifier.watchdog_s == watchdog_s
    notifier.alive()
    assert manager.heard() == ([b"WATCHDOG=1"] if watchdog_s else [])
    notifier.close()


# --- what a child must not have ------------------------------------------------------------------


def test_the_variables_are_gone_for_our_children(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setenv("KEPT", "1")
    Notifier(os.environ, os.getpid()).close()
    assert {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}.isdisjoint(os.environ)
    assert os.environ["KEPT"] == "1"


def test_a_child_that_has_closed_it_is_silent(manager, notifier):
    notifier.close()
    notifier.close()
    notifier.ready("x")
    notifier.status("y")
    assert manager.heard() == []
    assert notifier.take_failure() == ""


def test_the_socket_is_not_passed_on_to_other_programs(manager):
    before = sockets()
    notifier = Notifier(os.environ, os.getpid())
    (fd,) = sockets() - before
    assert not os.get_inheritable(fd)
    notifier.close()
    assert sockets() == before


def sockets() -> set[int]:
    """The descriptors of this process that are sockets."""
    fds = [(int(fd), f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    return {fd for fd, path in fds if os.path.exists(path) and "socket:" in os.readlink(path)}


# --- managers that are not there, or do not read -----------------------------------------------------


def test_without_a_manager_everything_is_a_quiet_nothing(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier(os.environ, os.getpid())
    notifier.ready("x")
    notifier.reloading()
    notifier.status("y")
    notifier.alive()
    notifier.extend(1)
    notifier.stopping("z")
    assert notifier.take_failure() == ""


def test_a_manager_that_does_not_read_is_not_waited_for(manager, notifier):
    """More than any socket buffer holds: a sender that blocked would never come back."""
    for number in range(5000):
        notifier.status(f"{number} {'x' * 1000}")
    heard = manager.heard()
    assert heard[0].startswith(b"STATUS=0 ")
    assert len(heard) < 5000
    notifier.status("it reads again")
    assert manager.heard() == [b"STATUS=it reads again"]


# The library leaves the socket that could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_socket_that_does_not_exist_is_a_failure_to_tell_not_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "missing"))
    notifier = Notifier(os.environ, os.getpid())
    notifier.ready("x")
    assert "No such file" in notifier.take_failure()
    notifier.status("y")
    assert notifier.take_failure() == ""  # it has been said already
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_manager_that_goes_away_is_a_failure_to_tell(manager, notifier):
    manager.socket.close()
    notifier.status("x")
    assert notifier.take_failure()
