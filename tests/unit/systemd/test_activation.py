"""Sockets passed by a service manager, by the rules of sd_listen_fds(3)."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys

import pytest

from granian_d.errors import ListenError
from granian_d.systemd import activation
from granian_d.systemd.activation import InheritedSocket, check_listening, take_sockets

FIRST = 200  # what stands here for SD_LISTEN_FDS_START: 3 is pytest's own


@pytest.fixture(autouse=True)
def start_of_passed_fds(monkeypatch):
    monkeypatch.setattr(activation, "FIRST_FD", FIRST)


@pytest.fixture
def passed():
    """Put sockets where a manager puts them."""
    placed = []

    def place(*sockets: socket.socket) -> None:
        for sock in sockets:
            fd = FIRST + len(placed)
            os.dup2(sock.fileno(), fd, inheritable=True)
            placed.append(fd)
            sock.close()

    yield place
    for fd in placed:
        os.close(fd)


def listening(family=socket.AF_INET) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    # "" of AF_UNIX: the kernel chooses an abstract name (unix(7), autobind).
    sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else "")
    sock.listen()
    return sock


def environ(count, pid=7, names=None, **more):
    given = {"LISTEN_FDS": str(count), "LISTEN_PID": str(pid), **more}
    return given if names is None else {**given, "LISTEN_FDNAMES": names}


def test_they_come_in_order_with_their_names(passed):
    passed(listening(), listening(socket.AF_UNIX))
    taken = take_sockets(environ(2, names="http:admin"), 7)
    assert taken == (InheritedSocket("http", FIRST), InheritedSocket("admin", FIRST + 1))


def test_without_names_they_have_the_name_that_systemd_gives():
    """man sd_listen_fds_with_names: "unknown"."""
    assert activation.UNNAMED == "unknown"


def test_without_names(passed):
    passed(listening(), listening())
    assert [sock.name for sock in take_sockets(environ(2), 7)] == ["unknown", "unknown"]


def test_two_may_have_one_name(passed):
    passed(listening(), listening())
    assert [sock.name for sock in take_sockets(environ(2, names="a:a"), 7)] == ["a", "a"]


def test_what_is_taken_is_closed_in_programs_that_are_started(passed):
    passed(listening())
    assert os.get_inheritable(FIRST)
    take_sockets(environ(1), 7)
    assert not os.get_inheritable(FIRST)


def test_the_variables_are_gone_for_our_children(passed):
    passed(listening())
    given = environ(1, names="http", LISTEN_PIDFDID="12", HOME="/")
    take_sockets(given, 7)
    assert given == {"HOME": "/"}


def test_they_are_gone_also_when_they_were_meant_for_another_process():
    given = environ(1, pid=8, names="http", HOME="/")
    assert take_sockets(given, 7) == ()
    assert given == {"HOME": "/"}


def test_they_are_gone_also_after_an_error():
    given = environ("many", names="http")
    with pytest.raises(ListenError):
        take_sockets(given, 7)
    assert given == {}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "7"},
        {"LISTEN_FDS": "", "LISTEN_PID": "7"},
        environ(0),
        environ(1, pid=8),
        environ(1, pid=""),
        environ(1, pid="seven"),
        environ("junk", pid=8),
    ],
    ids=str,
)
def test_nothing_is_passed_to_us(given):
    assert take_sockets(given, 7) == ()


@pytest.mark.parametrize("count", ["many", "-1", "1.5", "+1", "0x1", " 1", "²", "\u0661"])
def test_a_count_that_is_no_number(count):
    with pytest.raises(ListenError, match=r"LISTEN_FDS=.* is not a number"):
        take_sockets(environ(count), 7)


@pytest.mark.parametrize("names", ["a", "a:b:c", ":::"])
def test_as_many_names_as_sockets(passed, names):
    passed(listening(), listening())
    with pytest.raises(ListenError, match=r"LISTEN_FDNAMES names \d sockets, LISTEN_FDS passes 2"):
        take_sockets(environ(2, names=names), 7)


def test_a_closed_descriptor(passed):
    passed(listening())
    with pytest.raises(
        ListenError, match=f"socket 2 passed .*descriptor {FIRST + 1} is not a socket"
    ):
        take_sockets(environ(2), 7)


def test_a_file(tmp_path):
    file = (tmp_path / "file").open("w")
    with file, pytest.raises(ListenError, match="is not a socket"):
        check_listening(file.fileno(), "it")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_socket_of_another_type(kind):
    with (
        socket.socket(socket.AF_UNIX, kind) as sock,
        pytest.raises(ListenError, match=f"it: descriptor {sock.fileno()} is not a stream socket"),
    ):
        check_listening(sock.fileno(), "it")


def test_a_socket_that_does_not_listen():
    one, other = socket.socketpair()
    with one, other, socket.socket() as fresh:
        for sock in (one, fresh):
            with pytest.raises(ListenError, match="does not listen"):
                check_listening(sock.fileno(), "it")


def test_looking_at_a_socket_changes_nothing():
    with listening() as sock:
        before = fcntl.fcntl(sock, fcntl.F_GETFL), os.listdir("/proc/self/fd")
        check_listening(sock.fileno(), "it")
        assert (fcntl.fcntl(sock, fcntl.F_GETFL), os.listdir("/proc/self/fd")) == before
        socket.create_connection(sock.getsockname()).close()


def test_a_refused_socket_leaks_nothing():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ListenError):
            check_listening(sock.fileno(), "it")
        assert os.listdir("/proc/self/fd") == before


def test_the_first_passed_descriptor_is_three():
    """In a process of its own, where 3 is free."""
    code = (
        "import os, socket\n"
        "from granian_d.systemd.activation import take_sockets\n"
        "with socket.socket() as sock:\n"
        "    sock.bind(('127.0.0.1', 0)); sock.listen()\n"
        "    os.dup2(sock.fileno(), 3)\n"
        "    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "    print(take_sockets(os.environ, os.getpid()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(InheritedSocket(name='unknown', fd=3),)\n"
