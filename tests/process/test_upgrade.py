"""Upgrade in place: the same process and the same sockets, another program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

import granian_d
from tests.certificates import Authority
from tests.process.daemon import alive, fetch, wait_until
from tests.process.load import Load
from tests.process.tls_client import context_for, resumed

UPGRADES = 3


@pytest.fixture
def package(tmp_path):
    """A granian-d of the test's own, which it can change or break."""
    copy = tmp_path / "installed" / "granian_d"
    shutil.copytree(Path(granian_d.__file__).parent, copy)
    return copy


@pytest.fixture
def serve_own(serve, package):
    """Start a daemon of that package."""

    def start(workers: int = 2, more: str = "", **options):
        environ = {"PYTHONPATH": str(package.parent), **options.pop("environ", {})}
        return serve(workers, more, environ=environ, **options)

    return start


def upgrade(daemon) -> str:
    """SIGUSR2, and wait until the change is over; the STATUS it ended with."""
    daemon.notifications()
    since = len(daemon.messages)
    daemon.signal("USR2")
    daemon.wait_for("RELOADING=1", since)
    return daemon.wait_for("READY=1", since)["STATUS"]


def started_at(pid: int) -> str:
    """When the process was forked: an exec does not change it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def open_fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def release(package: Path, version: str) -> None:
    (package / "__init__.py").write_text(f'"""Another release."""\n__version__ = "{version}"\n')


def test_upgrades_under_load_lose_nothing(serve):
    daemon = serve(2)
    born = started_at(daemon.pid)
    gone: set[int] = set()
    with Load(("127.0.0.1", daemon.port), expected="one ", h2=2) as load:
        for number in range(UPGRADES):
            load.more()
            gone.update(daemon.workers())
            assert upgrade(daemon).startswith(f"gen {number + 2}, 2 workers")
        load.more()
    assert load.result["lost"] == []
    wait_until(lambda: not any(map(alive, gone)))
    assert len(daemon.workers()) == 2
    assert started_at(daemon.pid) == born
    assert daemon.log.count("Upgraded in place") == UPGRADES
    assert daemon.stop() == 0
    assert "Unexpected exit" not in daemon.log


def test_workers_outlive_the_exec_and_answer_what_they_had_begun(serve, deploy):
    daemon = serve(1)
    (worker,) = daemon.workers()
    slow = daemon.connection()
    slow.request("GET", "/slow?3")
    deploy("two")
    daemon.signal("USR2")
    daemon.wait_for_log("Upgraded in place")
    assert alive(worker)
    assert slow.getresponse().read() == f"one {worker}".encode()
    slow.close()
    daemon.wait_for_log("Reloaded: generation 2")
    assert daemon.get().text.startswith("two ")
    wait_until(lambda: not alive(worker))


def test_it_is_another_release(serve_own, package):
    daemon = serve_own(2)
    release(package, "99.1")
    assert upgrade(daemon).startswith("gen 2, 2 workers")
    assert f"granian-d {granian_d.__version__} became 99.1 (main PID: {daemon.pid})" in daemon.log
    assert daemon.get().status == 200


@pytest.mark.parametrize("more", ["", "preload = true"], ids=["forked", "preloaded"])
def test_what_is_pinned_needs_no_files(serve_own, package, runtime, ctl, more):
    """A package manager replaces files under a daemon; who needs one later has it already."""
    daemon = serve_own(2, more, environ={"RUNTIME_DIRECTORY": runtime})
    code, out, err = ctl("pin")
    assert (code, err) == (0, "")
    told = {f"master (PID {daemon.pid})"}
    told |= {f"{_part(pid)} (PID {pid})" for pid in daemon.workers()}
    assert {line for line in out.splitlines() if "(PID " in line} == told
    shutil.rmtree(package)
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.get(f"http://127.0.0.1:{daemon.port}/")
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    assert ctl.status()["phase"] == "serving"
    assert "task(s)" in ctl("dump", "all")[1]


def _part(pid: int) -> str:
    """As granianctl calls it: the title is "granian-d: worker 1 [...]"."""
    part, number = Path(f"/proc/{pid}/cmdline").read_text().split()[1:3]
    return f"{part}-{number}" if number.isdigit() else part


def test_nothing_is_left_open(serve):
    daemon = serve(2)
    upgrade(daemon)
    wait_until(lambda: len(daemon.workers()) == 2)
    before = open_fds(daemon.pid)
    for _ in range(3):
        upgrade(daemon)
        wait_until(lambda: len(daemon.workers()) == 2)
    assert open_fds(daemon.pid) == before
    environ = daemon.get("/environ").json["environ"]
    assert not {"GRANIAN_D_HANDOVER", "NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(environ)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("cli/serve.py", "raise RuntimeError('half a deploy')"),
        ("worker/main.py", "raise RuntimeError('half a deploy')"),
        ("supervisor/succession.py", "def ("),
        ("__init__.py", "raise RuntimeError('half a deploy')"),
    ],
)
def test_a_broken_program_changes_nothing(serve_own, package, part, text):
    daemon = serve_own(2)
    before = daemon.workers()
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    (package / part).write_text(text)
    status = upgrade(daemon)
    assert status.startswith("gen 1, 2 workers")
    assert "Upgrade failed, this granian-d goes on" in daemon.log
    assert daemon.workers() == before
    assert daemon.get().status == 200


def test_a_compiled_part_that_cannot_be_loaded_changes_nothing(serve_own, package):
    parts = sorted((package / "engine" / "native").glob("h1.*.so"))
    if not parts:
        pytest.skip("nothing is compiled here")
    daemon = serve_own(1)
    before = daemon.workers()
    parts[0].unlink()  # not written over: it is mapped
    parts[0].write_bytes(b"no library")
    upgrade(daemon)
    assert "Upgrade failed, this granian-d goes on" in daemon.log
    assert daemon.workers() == before


def test_a_state_that_cannot_be_read_changes_nothing(serve_own, package):
    daemon = serve_own(1)
    before = daemon.workers()
    part = package / "supervisor" / "handover.py"
    part.write_text(part.read_text().replace("FORMAT: Final = 1", "FORMAT: Final = 2"))
    status = upgrade(daemon)
    assert f"cannot take over from granian-d {granian_d.__version__}" in status
    assert daemon.workers() == before


def test_a_broken_configuration_changes_nothing(serve):
    daemon = serve(1)
    before = daemon.workers()
    good = daemon.config.read_text()
    daemon.config.write_text("workers = nonsense")
    assert "last reload failed" in upgrade(daemon)
    assert daemon.workers() == before
    daemon.config.write_text(good)
    assert upgrade(daemon).startswith("gen 2, 1 workers")


def test_a_program_that_cannot_be_executed_changes_nothing(serve, tmp_path):
    """The interpreter goes after the check has passed: nobody can know it before."""
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, sys\n"
        f"sys.executable = {str(tmp_path / 'python')!r}\n"
        "if 'granian_d.cli.check' in sys.orig_argv:\n"
        "    atexit.register(os.unlink, sys.executable)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    daemon = serve(1, environ={"PYTHONPATH": path})
    before, fds = daemon.workers(), open_fds(daemon.pid)
    assert "cannot execute" in upgrade(daemon)
    assert daemon.workers() == before
    assert open_fds(daemon.pid) == fds
    (tmp_path / "python").symlink_to(sys.executable)
    daemon.reload()  # signals are heard again
    assert daemon.get().status == 200


def test_a_broken_application_is_a_failed_reload_of_the_new_program(serve, deploy):
    daemon = serve(1)
    before = daemon.workers()
    deploy("two", "\nraise RuntimeError('not today')\n")
    assert "not today" in upgrade(daemon)
    assert "Upgraded in place" in daemon.log
    assert daemon.workers() == before
    # What the new program has read of the old one's state is enough to replace a worker.
    deploy("three")
    os.kill(before[0], signal.SIGKILL)
    daemon.wait_for_log("Started worker-1", 2)
    assert daemon.get().text.startswith("three ")


def test_signals_during_the_exec_are_not_lost(serve, tmp_path):
    """They are sent by the new program itself, in its first breath: nobody listens yet."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "if 'GRANIAN_D_HANDOVER' in os.environ:\n"
        "    for name in ('SIGTTIN', 'SIGUSR1', 'SIGHUP'):\n"
        "        os.kill(os.getpid(), getattr(signal, name))\n"
    )
    daemon = serve(1, environ={"PYTHONPATH": str(tmp_path)})
    daemon.signal("USR2")
    daemon.wait_for_log("Upgraded in place")
    for said in ("TTIN signal", "USR1 signal", "HUP signal", "Log files reopened", "Reloaded"):
        daemon.wait_for_log(said)
    assert daemon.get().status == 200


def test_a_stop_during_the_exec_is_a_stop(serve, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "if 'GRANIAN_D_HANDOVER' in os.environ:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    daemon = serve(2, environ={"PYTHONPATH": str(tmp_path)})
    daemon.signal("USR2")
    assert daemon.wait() == 0
    assert "Granian shutdown completed" in daemon.log


def test_a_worker_that_dies_during_the_exec_is_noticed(serve, tmp_path):
    """Killed by the new program before it looks at anything."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, signal\n"
        "if 'GRANIAN_D_HANDOVER' in os.environ:\n"
        "    me = os.getpid()\n"
        "    first = pathlib.Path(f'/proc/{me}/task/{me}/children').read_text().split()[0]\n"
        "    os.kill(int(first), signal.SIGKILL)\n"
    )
    daemon = serve(2, environ={"PYTHONPATH": str(tmp_path)})
    first = daemon.workers()[0]
    daemon.signal("USR2")
    daemon.wait_for_log("Upgraded in place")
    daemon.wait_for_log(f"(PID {first}): SIGKILL")
    daemon.wait_for_log("Reloaded: generation 2 serves with 2 worker(s)")
    assert not Path(f"/proc/{first}").exists()  # reaped


def test_workers_die_with_the_master_that_was_upgraded(serve):
    daemon = serve(2)
    daemon.signal("USR2")
    daemon.wait_for_log("Reloaded: generation 2")
    workers = daemon.workers()
    daemon.signal("KILL")
    daemon.wait()
    wait_until(lambda: not any(map(alive, workers)))


def test_all_kinds_of_listeners_and_the_pid_file_are_kept(serve, tmp_path):
    with contextlib.ExitStack() as stack:
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="gd"))
        web = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listen = ["systemd:web", f"unix:{short}/a.sock", "127.0.0.1:0"]
        more = f'listen = {listen}\npid_file = "{tmp_path}/pid"'
        daemon = serve(1, more, sockets={"web": web})
        inode = os.lstat(f"{short}/a.sock").st_ino
        for _ in range(2):
            upgrade(daemon)
            assert fetch(f"{short}/a.sock").status == 200
            assert fetch(web.getsockname()).status == 200
        assert os.lstat(f"{short}/a.sock").st_ino == inode
        assert (tmp_path / "pid").read_text() == f"{daemon.pid}\n"
        assert daemon.stop() == 0
        assert not (tmp_path / "pid").exists()


def test_an_upgrade_without_a_manager_that_is_told(make_daemon):
    daemon = make_daemon(1, environ={"NOTIFY_SOCKET": ""})
    daemon.start()
    daemon.wait_for_log("Ready: generation 1")
    daemon.signal("USR2")
    daemon.wait_for_log("Reloaded: generation 2")
    assert daemon.get().status == 200


def test_log_files_go_on(serve, tmp_path):
    path = tmp_path / "app.log"
    daemon = serve(1, f'log.file = "{path}"')
    wait_until(lambda: "Started worker-" in path.read_text())
    since = len(daemon.messages)
    daemon.signal("USR2")
    daemon.wait_for("RELOADING=1", since)
    daemon.wait_for("READY=1", since)
    assert "Upgraded in place" in path.read_text()


def test_a_scoreboard_of_another_layout(serve_own, package):
    """Nobody sees how the old workers are: they are taken for well, and not for stalled."""
    daemon = serve_own(1, "workers_stall_timeout = 1", watchdog_s=1.5)
    part = package / "observe" / "scoreboard.py"
    part.write_text(part.read_text().replace("TEXT_WORDS: Final = 27", "TEXT_WORDS: Final = 26"))
    (daemon.directory / "served.py").write_text("raise RuntimeError('not today')")
    assert "not today" in upgrade(daemon)
    assert "Upgraded in place" in daemon.log
    before = daemon.workers()
    for _ in range(5):  # ticks; there are three within the watchdog's time
        daemon.notifications()
        daemon.wait_for("WATCHDOG=1", len(daemon.messages))
    assert daemon.workers() == before
    assert "made no progress" not in daemon.log


def test_a_plan_that_the_new_release_cannot_read(serve_own, package, deploy):
    """The old generation lives on without it, and the reload replaces it."""
    daemon = serve_own(2)
    part = package / "supervisor" / "handover.py"
    text = part.read_text()
    part.write_text(text.replace("found[generation] = plan", "continue"))
    assert text != part.read_text()
    deploy("two", "\nraise RuntimeError('not today')\n")
    assert "not today" in upgrade(daemon)
    assert daemon.get().text.startswith("one ")
    deploy("three")
    assert daemon.reload().startswith("gen ")
    assert daemon.get().text.startswith("three ")
    assert daemon.stop() == 0


def test_sessions_of_tls_go_on(serve, tmp_path):
    authority = Authority()
    authority.issue("localhost").write(tmp_path, "host")
    daemon = serve(1, '[ssl]\ncertificate = "host.crt"\nkeyfile = "host.key"\n')
    context = context_for(authority)
    _, session = resumed(daemon.port, context, None)
    upgrade(daemon)
    reused, _ = resumed(daemon.port, context, session)
    assert reused
