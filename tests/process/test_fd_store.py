"""A service manager that keeps descriptors: what a restart or the master's death then refuses."""

from __future__ import annotations

import os
import signal
import socket
import tempfile

import pytest

from tests.certificates import Authority
from tests.process.conftest import CONFIG
from tests.process.daemon import Connection, Daemon, alive, fetch, wait_until
from tests.process.load import Load
from tests.process.tls_client import context_for, resumed

SCOREBOARD = "granian-d.scoreboard"
TICKETS = "granian-d.tickets"
APP = 'app = "served:app"\ninterface = "asgi"\nworkers = 2\n'


def listener(key: str) -> str:
    return "granian-d.listener." + key.replace(":", "%3A")


@pytest.fixture
def short():
    with tempfile.TemporaryDirectory(prefix="gd") as directory:
        yield directory


@pytest.fixture
def keep(tmp_path, deploy):
    """Start a daemon whose manager keeps descriptors."""
    started = []

    def start(*addresses, more="", **options) -> Daemon:
        config = f"{APP}listen = {list(addresses)!r}\n{more}"
        daemon = Daemon(tmp_path, config, **{"store_max": 64, **options})
        started.append(daemon)
        daemon.start()
        daemon.wait_for("READY=1")
        return daemon

    yield start
    for daemon in started:
        daemon.close()


def test_listeners_and_scoreboard_are_stored(keep, short):
    keys = ["tcp:127.0.0.1:0", f"unix:{short}/a.sock", f"unix:@granian-d-{os.getpid()}"]
    daemon = keep(*[key.removeprefix("tcp:") for key in keys])
    names = [listener(keys[0]), listener(keys[1]), listener(keys[2]).replace("@", "%40")]
    daemon.wait_for_store(SCOREBOARD, *names)


def test_sockets_of_units_are_not_stored_and_keep_their_names(keep):
    with socket.create_server(("127.0.0.1", 0)) as web:
        daemon = keep("systemd:web", "127.0.0.1:0", sockets={"web": web})
        daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))
        daemon.restart()
        assert fetch(web.getsockname()).status == 200
        assert fetch(("127.0.0.1", int(daemon.addresses[-1].rpartition(":")[2]))).status == 200
        daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_restarts_under_load_lose_nothing(keep, short, unix):
    address = f"unix:{short}/app.sock" if unix else "127.0.0.1:0"
    daemon = keep(address)
    target = f"{short}/app.sock" if unix else ("127.0.0.1", daemon.port)
    daemon.wait_for_store(SCOREBOARD, listener(address if unix else "tcp:" + address))
    with Load(target, expected="one ") as load:
        for _ in range(3):
            load.more()
            daemon.restart()
            load.more()
    assert load.result["lost"] == []
    assert load.result["answered"] > 600


def test_the_death_of_the_master_refuses_nobody(keep):
    daemon = keep("127.0.0.1:0")
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))
    with Load(("127.0.0.1", daemon.port), expected="one ") as load:
        load.more()
        workers = daemon.workers()
        daemon.signal("KILL")
        assert daemon.wait() == -signal.SIGKILL
        wait_until(lambda: not any(map(alive, workers)))
        daemon.start_again()
        load.more()
    # What a worker held dies with it; whoever comes waits in the queue.
    assert not [loss for loss in load.result["lost"] if "refused" in loss.lower()]
    assert not [loss for loss in load.result["lost"] if loss.startswith("connect")]


def test_who_connects_between_two_runs_is_served_by_the_second(keep, deploy):
    daemon = keep("127.0.0.1:0")
    port = daemon.port
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))
    assert daemon.stop() == 0
    waiting = Connection(("127.0.0.1", port))
    waiting.request("GET", "/")
    deploy("two")
    daemon.start_again()
    assert waiting.getresponse().read().startswith(b"two ")
    waiting.close()


def test_a_unix_path_stays_and_is_the_same_socket(keep, short):
    path = f"{short}/app.sock"
    daemon = keep(f"unix:{path}")
    daemon.wait_for_store(SCOREBOARD, listener(f"unix:{path}"))
    inode = os.lstat(path).st_ino
    daemon.restart()
    assert os.lstat(path).st_ino == inode
    assert fetch(path).status == 200


def test_a_unix_path_that_has_become_another_is_bound_anew(keep, short):
    path = f"{short}/app.sock"
    daemon = keep(f"unix:{path}")
    daemon.wait_for_store(SCOREBOARD, listener(f"unix:{path}"))
    assert daemon.stop() == 0
    os.rename(path, path + ".old")  # keeps the inode, so that it is not given out again
    daemon.start_again()
    assert fetch(path).status == 200
    daemon.wait_for_store(SCOREBOARD, listener(f"unix:{path}"))
    (fd,) = [fd for name, fd in daemon.store if "listener" in name]
    assert f"@{os.lstat(path).st_dev:x}.{os.lstat(path).st_ino:x}" in daemon.store_name(fd)


def test_a_listener_that_a_reload_removes_is_not_kept(keep, short):
    daemon = keep("127.0.0.1:0", f"unix:{short}/a.sock")
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"), listener(f"unix:{short}/a.sock"))
    daemon.config.write_text(f'{APP}listen = ["127.0.0.1:0", "unix:{short}/b.sock"]')
    daemon.reload()
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"), listener(f"unix:{short}/b.sock"))
    assert os.listdir(short) == ["b.sock"]


def test_what_a_new_configuration_does_not_want_is_dropped_at_the_start(keep, short):
    daemon = keep("127.0.0.1:0", f"unix:{short}/a.sock")
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"), listener(f"unix:{short}/a.sock"))
    port = daemon.port
    daemon.config.write_text(f'{APP}listen = ["unix:{short}/b.sock"]')
    daemon.restart()
    daemon.wait_for_store(SCOREBOARD, listener(f"unix:{short}/b.sock"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_strangers_in_the_store_are_dropped_and_no_listeners(keep):
    daemon = keep("127.0.0.1:0")
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))
    assert daemon.stop() == 0
    for name in ("granian-d.of-tomorrow", "stored", listener("tcp:127.0.0.1:1")):
        daemon.store.append((name, os.open(os.devnull, os.O_RDONLY)))
    before = daemon.port
    daemon.start_again()
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))
    assert daemon.addresses[-1].endswith(f":{before}")
    held = [
        os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.pid}/fd")
    ]
    assert held.count(os.devnull) == 1  # its standard input


def test_counts_go_on(keep):
    daemon = keep("127.0.0.1:0")
    daemon.wait_for_store(SCOREBOARD, listener("tcp:127.0.0.1:0"))
    (board,) = [fd for name, fd in daemon.store if name == SCOREBOARD]
    for _ in range(7):
        daemon.get()
    daemon.signal("KILL")
    daemon.wait()
    daemon.start_again()
    assert requests(board) == 7  # of rows that nobody has any more
    daemon.get()
    daemon.restart()
    assert requests(board) == 8


def requests(board: int) -> int:
    """The total of requests in the head of a stored scoreboard."""
    from granian_d.observe.scoreboard import REQUESTS, Scoreboard

    copy = os.memfd_create("copy")
    os.write(copy, os.pread(board, os.fstat(board).st_size, 0))
    return Scoreboard(copy).total(REQUESTS, ())


def test_nothing_is_left_to_a_manager_that_stores_nothing(keep):
    daemon = keep("127.0.0.1:0", store_max=0)
    port = daemon.port
    assert daemon.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    daemon.start_again()
    assert daemon.stop() == 0


def test_sessions_of_tls_go_on_over_a_restart(tmp_path, deploy):
    authority = Authority()
    authority.issue("localhost").write(tmp_path, "host")
    table = '[ssl]\ncertificate = "host.crt"\nkeyfile = "host.key"\n'
    with Daemon(tmp_path, CONFIG.format(workers=1, more=table), store_max=64) as daemon:
        port = daemon.port
        daemon.wait_for_store(SCOREBOARD, TICKETS, listener("tcp:127.0.0.1:0"))
        context = context_for(authority)
        _, session = resumed(port, context, None)
        for _ in range(2):
            daemon.restart()
            reused, session = resumed(port, context, session)
            assert reused
        daemon.wait_for_store(SCOREBOARD, TICKETS, listener("tcp:127.0.0.1:0"))
