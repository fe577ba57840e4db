"""Where a daemon listens: TCP, unix, descriptors, sockets of a service manager."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from tests.process.daemon import Daemon, fetch, wait_until

APP = 'app = "served:app"\ninterface = "asgi"\n'


@pytest.fixture
def short():
    """A directory with a path that fits into sun_path."""
    with tempfile.TemporaryDirectory(prefix="gd") as directory:
        yield directory


@pytest.fixture
def listen(tmp_path, deploy):
    """Start a daemon with these listeners."""
    started = []

    def start(*addresses, more="", **options) -> Daemon:
        lines = [f"listen = {list(addresses)!r}"] if addresses else []
        daemon = Daemon(tmp_path, "\n".join([APP, *lines, more]), **options)
        started.append(daemon)
        daemon.start()
        if options.get("environ", {}).get("NOTIFY_SOCKET") == "":
            daemon.wait_for_log("Ready: generation 1")
        else:
            daemon.wait_for("READY=1")
        return daemon

    yield start
    for daemon in started:
        daemon.close()


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_several_listeners_at_once(listen, short):
    addresses = ["127.0.0.1:0", f"unix:{short}/a.sock", f"unix:@granian-d-{os.getpid()}"]
    daemon = listen(*addresses)
    assert daemon.get().status == 200
    assert fetch(f"{short}/a.sock").status == 200
    assert fetch(f"@granian-d-{os.getpid()}").status == 200
    assert daemon.addresses[1:] == addresses[1:]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_ipv6_and_a_host_name(listen):
    daemon = listen("[::1]:0", "localhost:0")
    for address in daemon.addresses:
        host, _, port = address.removeprefix("http://").rpartition(":")
        assert fetch((host.strip("[]"), int(port))).status == 200
    assert daemon.addresses[0].startswith("http://[::1]:")
    assert any(a.startswith("http://127.0.0.1:") for a in daemon.addresses)


def test_port_zero_is_reported_truthfully_and_kept(listen):
    daemon = listen("127.0.0.1:0")
    port = daemon.port
    assert port != 0
    daemon.reload()
    assert fetch(("127.0.0.1", port)).status == 200


def test_a_unix_socket_gets_its_mode_and_goes_with_the_daemon(listen, short):
    """Where a service manager may keep the socket, its path stays: see test_fd_store."""
    path = f"{short}/app.sock"
    daemon = listen(f"unix:{path},mode=0620", environ={"NOTIFY_SOCKET": ""})
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o620
    assert fetch(path).status == 200
    daemon.stop()
    assert os.listdir(short) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
def test_a_unix_socket_gets_its_owner(listen, short):
    path = f"{short}/app.sock"
    listen(f"unix:{path},owner=nobody,group=daemon,mode=0600")
    status = os.stat(path)
    import grp
    import pwd

    assert status.st_uid == pwd.getpwnam("nobody").pw_uid
    assert status.st_gid == grp.getgrnam("daemon").gr_gid


def test_a_stale_unix_socket_is_taken_over(listen, short):
    path = f"{short}/app.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    listen(f"unix:{path}")
    assert fetch(path).status == 200


def test_a_live_unix_socket_is_an_error_that_names_its_owner(listen, short, tmp_path):
    path = f"{short}/app.sock"
    first = listen(f"unix:{path}")
    second = Daemon(tmp_path, f'{APP}\nlisten = ["unix:{path}"]')
    second.log_path = tmp_path / "second.log"
    second.start()
    try:
        assert second.wait() == 71
        assert f"cannot listen on unix:{path}: process {first.pid} serves on it" in second.log
    finally:
        second.close()
    assert fetch(path).status == 200


def test_a_file_in_the_way_is_left_alone(tmp_path, deploy, short):
    path = f"{short}/precious"
    with open(path, "w") as file:
        file.write("data")
    daemon = Daemon(tmp_path, f'{APP}\nlisten = ["unix:{path}"]').start()
    try:
        assert daemon.wait() == 71
        assert "exists and is not a socket" in daemon.log
    finally:
        daemon.close()
    with open(path) as file:
        assert file.read() == "data"


def test_a_descriptor_of_the_parent(tmp_path, deploy):
    with socket.create_server(("127.0.0.1", 0)) as server:
        # The harness passes sockets from descriptor 3 on; without names this is plain fd:3.
        daemon = Daemon(tmp_path, f'{APP}\nlisten = ["fd:3"]', sockets={"x": server})
        daemon.environ["LISTEN_PID"] = "1"
        daemon.start()
        try:
            daemon.wait_for("READY=1")
            assert fetch(server.getsockname()).status == 200
        finally:
            daemon.close()


def test_all_inherited_sockets_are_used_when_none_is_named(listen, short):
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(f"{short}/s", family=socket.AF_UNIX) as two,
    ):
        daemon = listen(sockets={"web": one, "local": two}, more="port = 1")
        assert fetch(one.getsockname()).status == 200
        assert fetch(f"{short}/s").status == 200
        assert len(daemon.addresses) == 2
        daemon.reload()
        assert fetch(one.getsockname()).status == 200
        daemon.stop()
        assert os.path.exists(f"{short}/s"), "what the manager made is the manager's to remove"
        with socket.create_connection(one.getsockname()):
            pass  # still listening: the manager holds it


def test_named_sockets_are_chosen_by_name(listen):
    with (
        socket.create_server(("127.0.0.1", 0)) as http,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        daemon = listen("systemd:http", sockets={"admin": admin, "http": http})
        assert daemon.addresses == [f"http://127.0.0.1:{http.getsockname()[1]}"]
        assert fetch(http.getsockname()).status == 200


def test_a_name_that_was_not_passed_is_a_clear_error(tmp_path, deploy):
    with socket.create_server(("127.0.0.1", 0)) as http:
        daemon = Daemon(tmp_path, f'{APP}\nlisten = ["systemd:web"]', sockets={"http": http})
        daemon.start()
        try:
            assert daemon.wait() == 78
            assert 'systemd passed no socket named "web"; there are http' in daemon.log
        finally:
            daemon.close()


def test_workers_hold_what_they_need_and_nothing_else(listen):
    """No descriptor of the master's, none of its variables."""
    with socket.create_server(("127.0.0.1", 0)) as http:
        daemon = listen(sockets={"http": http}, more="workers = 2", watchdog_s=60)
        seen = fetch(http.getsockname(), "/environ").json
    assert not [n for n in seen["environ"] if n.startswith(("NOTIFY_", "LISTEN_", "WATCHDOG_"))]
    kinds = sorted(target.split(":")[0].strip("/") for target in seen["fds"].values())
    # stdin, stdout, stderr; the listener, the channel and this request's connection; the loop's.
    own = [kind for kind in kinds if kind == "socket"]
    assert len(own) <= 3 + 2, seen["fds"]  # uvloop keeps a socket pair for signals
    assert not [t for t in seen["fds"].values() if "pidfd" in t], "children of the master"
    wait_until(lambda: len(daemon.workers()) == 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="changing identity needs root")
def test_workers_drop_to_user_group_and_umask(tmp_path, deploy, listen):
    for place in (tmp_path, *tmp_path.parents):
        if place == Path(tempfile.gettempdir()):
            break
        os.chmod(place, 0o755)
    daemon = listen("127.0.0.1:0", more='user = "nobody"\ngroup = "daemon"\numask = "0027"')
    import grp
    import pwd

    seen = daemon.get("/environ").json
    assert seen["uid"] == pwd.getpwnam("nobody").pw_uid
    assert seen["gid"] == grp.getgrnam("daemon").gr_gid
    assert 0 not in seen["groups"]
    assert seen["umask"] == 0o027
    assert seen["environ"]["USER"] == "nobody"
    (worker,) = daemon.workers()
    os.kill(daemon.pid, 9)
    daemon.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{worker}"))
