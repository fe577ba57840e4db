"""Listening sockets across plans: what stays is the very same socket, what fails leaves no trace."""

from __future__ import annotations

import os
import re
import socket
import tempfile

import pytest

from granian_d.errors import ListenError
from granian_d.supervisor.listeners import Listeners, describe
from granian_d.systemd.activation import InheritedSocket
from tests.unit.plan.specimens import fd, systemd, tcp, unix
from tests.unit.supervisor.processes import in_a_child, open_fds


@pytest.fixture
def listeners():
    made = Listeners(())
    yield made
    made.retain(())


@pytest.fixture
def room():
    """A directory with a short name: the path of a unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gd") as path:
        yield path


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def listening(address=("127.0.0.1", 0)) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    sock.bind(address)
    sock.listen()
    return sock


def connects(sock: socket.socket) -> bool:
    with socket.socket(sock.family) as client:
        client.connect(sock.getsockname())
        accepted, _ = sock.accept()
        accepted.close()
    return True


# --- opening -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp(listeners, host):
    plan = tcp(host)
    assert listeners.open([plan]) == (plan.key,)
    (sock,) = listeners.sockets([plan])
    assert sock.getsockname()[0] == host
    assert sock.getsockname()[1] != 0
    assert connects(sock)


def test_sockets_do_not_block_and_are_not_passed_to_programs(listeners, room):
    passed = listening()
    plans = [tcp(), unix(f"{room}/s"), fd(passed.fileno())]
    listeners.open(plans)
    passed.close()
    for sock in listeners.sockets(plans):
        assert not sock.getblocking()
        assert not sock.get_inheritable()


def test_v6_does_not_take_v4_along(listeners):
    plan = tcp("::")
    listeners.open([plan])
    (sock,) = listeners.sockets([plan])
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_taken_port_is_named(listeners):
    with listening() as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ListenError, match=f"cannot listen on tcp:127.0.0.1:{port}: Address already in use"
        ):
            listeners.open([tcp(port=port)])


def test_all_or_nothing(listeners, room):
    before = open_fds()
    with listening() as other:
        plans = [tcp(), unix(f"{room}/s"), tcp(port=other.getsockname()[1]), unix(f"{room}/t")]
        with pytest.raises(ListenError):
            listeners.open(plans)
    assert open_fds() == before
    assert os.listdir(room) == []
    with pytest.raises(KeyError):
        listeners.sockets(plans[:1])


def test_what_was_open_before_a_failure_stays(listeners):
    old = tcp()
    listeners.open([old])
    (sock,) = listeners.sockets([old])
    with listening() as other:
        new = tcp("127.0.0.1", other.getsockname()[1])
        with pytest.raises(ListenError):
            listeners.open([old, new])
    assert listeners.sockets([old]) == (sock,)
    assert connects(sock)


def test_a_descriptor_is_adopted_and_its_owner_keeps_his(listeners):
    with listening() as owner:
        plan = fd(owner.fileno())
        listeners.open([plan])
        assert inode(listeners.sockets([plan])[0]) == inode(owner)
        listeners.retain(())
        assert connects(owner)


def test_a_descriptor_that_does_not_listen(listeners):
    idle = socket.socket()
    with idle, pytest.raises(ListenError, match=f"fd:{idle.fileno()}: .* does not listen"):
        listeners.open([fd(idle.fileno())])


# --- sockets of the service manager --------------------------------------------------------------------


@pytest.fixture
def inherited():
    socks = [listening(), listening(), listening()]
    return [
        InheritedSocket(name, sock.detach())
        for name, sock in zip(("http", "admin", "http"), socks, strict=True)
    ]


@pytest.fixture
def handed(inherited):
    made = Listeners(inherited)
    yield made, [os.fstat(sock.fd).st_ino for sock in inherited]
    made.retain(())
    for sock in inherited:
        os.close(sock.fd)


@pytest.mark.parametrize(("name", "which"), [("http", [0, 2]), ("admin", [1]), ("", [0, 1, 2])])
def test_inherited_sockets_by_name(handed, name, which):
    listeners, inodes = handed
    plan = systemd(name)
    listeners.open([plan])
    assert [inode(sock) for sock in listeners.sockets([plan])] == [inodes[i] for i in which]


def test_a_name_that_was_not_passed(handed):
    listeners, _ = handed
    with pytest.raises(ListenError, match=r"systemd:nobody: .* no socket of that name"):
        listeners.open([systemd("nobody")])


def test_an_inherited_socket_that_was_let_go_can_be_had_again(handed):
    """It belongs to the service manager: a plan that comes back to it finds it."""
    listeners, inodes = handed
    plan = systemd("admin")
    listeners.open([plan])
    listeners.retain(())
    listeners.open([plan])
    assert inode(listeners.sockets([plan])[0]) == inodes[1]


# --- unix sockets ----------------------------------------------------------------------------------------


def test_a_unix_socket_comes_into_being_ready(listeners, room):
    plan = unix(f"{room}/s", mode=0o640, uid=os.getuid(), gid=os.getgid())
    listeners.open([plan])
    status = os.stat(f"{room}/s")
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (
        0o640,
        os.getuid(),
        os.getgid(),
    )
    assert os.listdir(room) == ["s"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{room}/s")


def test_its_path_goes_with_it(listeners, room):
    listeners.open([unix(f"{room}/s")])
    listeners.retain(())
    assert os.listdir(room) == []


@pytest.mark.parametrize("replacement", ["socket", "file", "nothing"])
def test_its_path_stays_when_it_is_somebody_elses_by_now(listeners, room, replacement):
    path = f"{room}/s"
    listeners.open([unix(path)])
    # Kept while it is judged: a new inode must not get the number of the old one.
    os.rename(path, f"{room}/old")
    other = None
    if replacement == "socket":
        other = listening(path)
    elif replacement == "file":
        with open(path, "w"):
            pass
    listeners.retain(())
    assert os.path.lexists(path) == (replacement != "nothing")
    if other is not None:
        other.close()


def test_a_stale_socket_is_taken_over(listeners, room):
    listening(f"{room}/s").close()
    listening(f"{room}/s~").close()  # left by a start that was killed in between
    plan = unix(f"{room}/s")
    listeners.open([plan])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{room}/s")
    assert os.listdir(room) == ["s"]


def test_a_live_socket_is_left_alone_and_its_owner_named(listeners, room):
    with listening(f"{room}/s") as other:
        with pytest.raises(ListenError, match=f"unix:{room}/s: process {os.getpid()} serves on it"):
            listeners.open([unix(f"{room}/s")])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{room}/s")
        other.accept()[0].close()
    assert os.listdir(room) == ["s"]


def test_another_daemon_that_is_just_binding_is_left_alone(listeners, room):
    """It binds beside the path first, as we do."""
    with listening(f"{room}/s~"):
        with pytest.raises(ListenError, match=f"unix:{room}/s~: process {os.getpid()} serves"):
            listeners.open([unix(f"{room}/s")])
        assert os.listdir(room) == ["s~"]


@pytest.mark.parametrize("make", [lambda path: open(path, "w").close(), os.mkdir])
def test_what_is_no_socket_is_left_alone(listeners, room, make):
    make(f"{room}/s")
    with pytest.raises(ListenError, match="exists and is not a socket"):
        listeners.open([unix(f"{room}/s")])
    assert os.listdir(room) == ["s"]


def test_a_symlink_is_not_followed(listeners, room):
    os.symlink(f"{room}/elsewhere", f"{room}/s")
    with pytest.raises(ListenError, match="not a socket"):
        listeners.open([unix(f"{room}/s")])
    assert os.listdir(room) == ["s"]


def test_a_directory_that_does_not_exist(listeners, room):
    with pytest.raises(ListenError, match=f"unix:{room}/no/s: No such file or directory"):
        listeners.open([unix(f"{room}/no/s")])


def test_a_path_that_is_too_long(listeners, room):
    before = open_fds()
    with pytest.raises(ListenError, match="too long"):
        listeners.open([unix(f"{room}/{'x' * 120}")])
    assert open_fds() == before


def test_a_new_mode_applies_to_the_open_socket(listeners, room):
    listeners.open([unix(f"{room}/s", mode=0o600)])
    (sock,) = listeners.sockets([unix(f"{room}/s")])
    assert listeners.open([unix(f"{room}/s", mode=0o666)]) == ()
    assert os.stat(f"{room}/s").st_mode & 0o777 == 0o666
    assert listeners.sockets([unix(f"{room}/s")]) == (sock,)


def test_an_abstract_socket(listeners):
    plan = unix(f"@granian-d-test-{os.getpid()}", mode=0o600)
    listeners.open([plan])
    (sock,) = listeners.sockets([plan])
    assert connects(sock)
    assert describe(sock) == f"unix:@granian-d-test-{os.getpid()}"
    listeners.open([plan])  # a reload: there is no file whose mode could be set
    with pytest.raises(ListenError, match="Address already in use"):
        Listeners(()).open([plan])


# --- in a child --------------------------------------------------------------------------------------------


def test_a_child_keeps_what_it_needs_and_unlinks_nothing(room):
    with listening() as passed:
        inherited = (InheritedSocket("http", os.dup(passed.fileno())),)
        listeners = Listeners(inherited)
        kept, other = tcp(), unix(f"{room}/s")
        listeners.open([kept, other])

        def live():
            before = open_fds()
            dropped = listeners.sockets([other])[0].fileno()
            listeners.close_others([kept])
            assert before - open_fds() == {dropped, inherited[0].fd}
            listeners.sockets([kept])[0].getsockname()

        assert in_a_child(live) == 0
        assert os.path.exists(f"{room}/s")
        assert connects(listeners.sockets([kept])[0])
        listeners.retain(())
        os.close(inherited[0].fd)


@pytest.mark.parametrize(
    ("plan", "text"),
    [(tcp(), r"http://127\.0\.0\.1:\d+"), (tcp("::1"), r"http://\[::1\]:\d+")],
)
def test_addresses_are_written_as_people_type_them(listeners, plan, text):
    listeners.open([plan])
    assert re.fullmatch(text, describe(listeners.sockets([plan])[0]))


def test_the_address_of_a_unix_socket_is_its_path(listeners, room):
    plan = unix(f"{room}/s")
    listeners.open([plan])
    assert describe(listeners.sockets([plan])[0]) == f"unix:{room}/s"
