"""`preload = true`: the application is imported once a generation, and every reload brings new code."""

from __future__ import annotations

import os
import pwd
import select
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.process.daemon import PATIENCE_S, alive, wait_until
from tests.process.load import Load
from tests.process.tls_client import SecureConnection, context_for

RELOADS = 5
PRELOAD = "preload = true"


@pytest.fixture
def serve_preloaded(serve):
    """A daemon whose workers come from a mold."""

    def start(workers: int = 2, more: str = "", **options):
        return serve(workers, f"{PRELOAD}\n{more}", **options)

    return start


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def children(daemon, part: str) -> list[int]:
    """The master's children whose title says that they are a "mold" or a "worker"."""
    found = []
    for pid in daemon.workers():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if title(pid).startswith(f"granian-d: {part} "):
                found.append(pid)
    return found


def mold(daemon) -> int:
    """Pid of the only mold."""
    wait_until(lambda: len(children(daemon, "mold")) == 1, lambda: daemon.log)
    return children(daemon, "mold")[0]


def parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def test_workers_of_a_mold_serve_and_are_children_of_the_master(serve_preloaded):
    daemon = serve_preloaded(3)
    workers = children(daemon, "worker")
    assert len(workers) == 3
    assert {parent(pid) for pid in [*workers, mold(daemon)]} == {daemon.pid}
    with Load(("127.0.0.1", daemon.port), expected="one ", h2=2) as load:
        load.more(300)
    assert load.result["lost"] == []
    assert {int(body.split()[1]) for body in load.result["bodies"]} <= set(workers)


@pytest.mark.parametrize("more", ["", 'loop = "asyncio"\nengine = "pure"'])
def test_reloads_lose_nothing(serve_preloaded, more):
    daemon = serve_preloaded(2, more)
    fds = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        for number in range(RELOADS):
            assert f"gen {number + 2}, 2 workers" in daemon.reload()
            load.more(20)
    assert load.result["lost"] == []
    assert load.result["answered"] > RELOADS * 20
    assert f"gen {RELOADS + 1}" in title(mold(daemon))
    wait_until(lambda: len(daemon.workers()) == 3)
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) == fds)


def test_a_reload_brings_new_code(serve_preloaded, deploy):
    daemon = serve_preloaded()
    old = mold(daemon)
    assert daemon.get().text.startswith("one ")
    deploy("two")
    assert "gen 2, 2 workers" in daemon.reload()
    assert daemon.get().text.startswith("two ")
    assert mold(daemon) != old


BREAKS = {
    "it raises on import": "raise RuntimeError('no database')",
    "it dies on import": "import os; os.kill(os.getpid(), 9)",
    "its startup fails": (
        "async def lifespan(receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    ),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_a_broken_reload_leaves_the_mold_that_replaces_with_the_old_code(
    serve_preloaded, deploy, broken
):
    daemon = serve_preloaded()
    before, held = set(children(daemon, "worker")), mold(daemon)
    with Load(("127.0.0.1", daemon.port), expected="one ", keep=0) as load:
        load.more()
        deploy("two", broken)
        assert "last reload failed" in daemon.reload()
        load.more()
    assert load.result["lost"] == []
    assert mold(daemon) == held
    assert set(children(daemon, "worker")) == before
    # What is on disk is broken still; what replaces a dead worker comes from memory.
    os.kill(before.pop(), signal.SIGKILL)
    wait_until(lambda: len(set(children(daemon, "worker")) - before) == 1, lambda: daemon.log)
    daemon.wait_for_log("Started worker-", 3)
    for _ in range(20):
        assert daemon.get().text.startswith("one ")
    deploy("three")
    daemon.reload()
    assert daemon.get().text.startswith("three ")


def test_an_import_that_hangs_changes_nothing(serve_preloaded, deploy):
    daemon = serve_preloaded(more="workers_startup_timeout = 1")
    held = mold(daemon)
    deploy("two", "import time; time.sleep(600)")
    assert "was not ready in 1 s" in daemon.reload()
    assert mold(daemon) == held
    assert 'served.py"' in daemon.log, "the stacks of the hanging import are dumped"


def test_a_mold_that_is_killed_is_made_anew_when_it_is_needed(serve_preloaded):
    daemon = serve_preloaded()
    workers, held = set(children(daemon, "worker")), mold(daemon)
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        os.kill(held, signal.SIGKILL)
        daemon.wait_for_log("Unexpected exit of the mold of generation 1: SIGKILL")
        load.more()
    assert load.result["lost"] == []
    assert set(children(daemon, "worker")) == workers, "workers do not need their mold"
    os.kill(min(workers), signal.SIGKILL)
    daemon.wait_for_log("Started worker-", 3)
    assert mold(daemon) != held
    assert len(children(daemon, "worker")) == 2


def test_nothing_is_left_when_the_master_is_killed(serve_preloaded):
    daemon = serve_preloaded(3)
    pids = daemon.workers()
    assert len(pids) == 4
    watched = [os.pidfd_open(pid) for pid in pids]
    daemon.signal("KILL")
    for pidfd in watched:
        assert select.select([pidfd], [], [], PATIENCE_S)[0]
        os.close(pidfd)


def test_a_stop_ends_the_mold(serve_preloaded):
    daemon = serve_preloaded()
    pids = daemon.workers()
    assert daemon.stop() == 0
    assert not [pid for pid in pids if alive(pid)]
    assert "Killing" not in daemon.log


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_are_added_and_taken_away(serve_preloaded, workers):
    daemon = serve_preloaded(workers)
    daemon.signal("TTIN")
    daemon.wait_for_log("Started worker-", workers + 1)
    assert len(children(daemon, "worker")) == workers + 1
    daemon.signal("TTOU")
    wait_until(lambda: len(children(daemon, "worker")) == workers)
    assert daemon.get().status == 200


UNWISE = """
import socket, threading
threading.Thread(target=threading.Event().wait, name="eager", daemon=True).start()
server = socket.create_server(("127.0.0.1", 0))
"""


def test_threads_and_sockets_of_an_import_are_named(serve_preloaded, deploy):
    deploy("one", UNWISE)
    daemon = serve_preloaded(1)
    assert "started threads by the time it was imported: eager" in daemon.log
    assert "opened sockets by the time it was imported: AF_INET 127.0.0.1:" in daemon.log
    assert daemon.get().status == 200


def test_without_preload_nobody_is_warned(serve, deploy):
    deploy("one", UNWISE)
    daemon = serve(1)
    assert "by the time it was imported" not in daemon.log
    assert children(daemon, "mold") == []


def test_preload_is_turned_on_and_off_by_reloads(serve):
    daemon = serve(2)
    config = daemon.config.read_text()
    with Load(("127.0.0.1", daemon.port)) as load:
        load.more()
        daemon.config.write_text(config + PRELOAD)
        assert "gen 2, 2 workers" in daemon.reload()
        load.more()
        assert "gen 2" in title(mold(daemon))
        daemon.config.write_text(config)
        assert "gen 3, 2 workers" in daemon.reload()
        load.more()
    assert load.result["lost"] == []
    wait_until(lambda: children(daemon, "mold") == [])


def test_a_warmed_worker_becomes_the_mold(serve_preloaded):
    """`refork_after`: what it has built while it served, the others of its generation share."""
    daemon = serve_preloaded(2, "refork_after = 200")
    first = mold(daemon)
    workers = children(daemon, "worker")
    with Load(("127.0.0.1", daemon.port), expected="one ", keep=2) as load:
        wait_until(lambda: set(children(daemon, "mold")) - {first}, lambda: daemon.log)
        load.more()
    assert load.result["lost"] == []
    heir = mold(daemon)
    assert heir in workers
    wait_until(lambda: len(children(daemon, "worker")) == 2)
    assert "gen 1" in title(heir)
    # It is the mold of those who come, and a reload still brings new code.
    os.kill(children(daemon, "worker")[0], signal.SIGKILL)
    wait_until(lambda: len(children(daemon, "worker")) == 2 and daemon.get().status == 200)
    assert mold(daemon) == heir
    assert "gen 2, 2 workers" in daemon.reload()
    assert mold(daemon) != heir


@pytest.mark.skipif(os.geteuid() != 0, reason="changing identity needs root")
def test_a_mold_of_another_user_forks_children_of_a_root_master(serve_preloaded, reachable, deploy):
    deploy("one", UNWISE)
    daemon = serve_preloaded(2, 'user = "nobody"')
    assert "started threads by the time it was imported: eager" in daemon.log
    seen = daemon.get("/environ").json
    assert seen["uid"] == pwd.getpwnam("nobody").pw_uid
    assert parent(seen["pid"]) == daemon.pid
    assert "gen 2, 2 workers" in daemon.reload()
    wait_until(lambda: len(daemon.workers()) == 3)
    watched = [os.pidfd_open(pid) for pid in daemon.workers()]
    daemon.signal("KILL")
    for pidfd in watched:
        assert select.select([pidfd], [], [], PATIENCE_S)[0]
        os.close(pidfd)


@pytest.fixture
def reachable(tmp_path):
    """Others may read the test's directory."""
    for place in (tmp_path, *tmp_path.parents):
        if place == Path(tempfile.gettempdir()):
            break
        place.chmod(0o755)


def test_workers_to_come_show_the_newest_certificate(serve_preloaded, tmp_path):
    """It is renewed after the mold was made: the master tells the mold, too."""
    authority = Authority()
    authority.issue("localhost").write(tmp_path, "host")
    table = '[ssl]\ncertificate = "host.crt"\nkeyfile = "host.key"\n'
    daemon = serve_preloaded(1, table)
    context = context_for(authority)
    renewed = authority.issue("localhost")
    renewed.write(tmp_path, "host")
    daemon.wait_for_log("Certificates read again: localhost")
    first = SecureConnection(("127.0.0.1", daemon.port), context)
    assert first.ask().status == 200
    session = first.sock.session
    first.close()
    (worker,) = children(daemon, "worker")
    os.kill(worker, signal.SIGKILL)
    daemon.wait_for_log("Started worker-", 2)
    again = SecureConnection(("127.0.0.1", daemon.port), context, session=session)
    assert again.ask().status == 200
    assert again.shows(renewed)
    assert again.sock.session_reused, "all workers have one key for tickets"
    again.close()


def test_what_an_application_forks_at_import_holds_nothing(serve_preloaded, deploy):
    """A child of a mold would keep its channel open, and outlive the daemon with it."""
    forks = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    links = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        " if os.path.lexists(f'/proc/self/fd/{fd}')]\n"
        "    open('held', 'w').write(str(sum(link.startswith('socket:') for link in links)))\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    deploy("one", forks)
    daemon = serve_preloaded(1)
    assert (daemon.directory / "held").read_text() == "0"


def test_an_upgrade_keeps_the_mold_until_another_serves(serve_preloaded, deploy):
    """The new program's first reload fails: what replaces a worker is the old code of the mold."""
    daemon = serve_preloaded(2)
    kept = mold(daemon)
    deploy("two", "\nraise RuntimeError('not today')\n")
    since = len(daemon.messages)
    daemon.signal("USR2")
    daemon.wait_for("RELOADING=1", since)
    assert "not today" in daemon.wait_for("READY=1", since)["STATUS"]
    assert "Upgraded in place" in daemon.log
    assert mold(daemon) == kept
    os.kill(children(daemon, "worker")[0], signal.SIGKILL)
    daemon.wait_for_log("Started worker-", 3)
    assert daemon.get().text.startswith("one ")
    deploy("three")
    daemon.signal("USR2")
    daemon.wait_for_log("Upgraded in place", 2)
    daemon.wait_for_log("Reloaded: generation")
    wait_until(lambda: not alive(kept))
    assert daemon.get().text.startswith("three ")
    assert daemon.stop() == 0
