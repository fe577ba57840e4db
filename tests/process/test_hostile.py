"""Things that should not happen, and do: the master outlives all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.process.daemon import Daemon, alive, fetch, wait_until

TROUBLE = """
import asyncio, os, socket
from concurrent.futures import ProcessPoolExecutor

def channel():
    for fd in range(3, 64):
        try:
            sock = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if sock.type == socket.SOCK_SEQPACKET:
            return sock
    raise LookupError

def work():
    return os.getpid()

pool = None

async def app(scope, receive, send):
    global pool
    body = b"ok"
    path = scope.get("path", "")
    if path == "/scribble":
        channel().send(b"garbage")
    elif path == "/lie":
        channel().send(b'{"kind": "Failed", "reason": 7, "exit_code": "x"}')
    elif path == "/realtime":
        os.kill(os.getpid(), 40)
    elif path == "/fork":
        pid = os.fork()
        if pid == 0:
            import time
            time.sleep(120)
            os._exit(0)
        body = str(pid).encode()
    elif path == "/pool":
        pool = pool or ProcessPoolExecutor(1)
        body = str(await asyncio.get_running_loop().run_in_executor(pool, work)).encode()
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""

CONFIG = 'app = "trouble:app"\ninterface = "asginl"\nport = 0\nworkers = {}\n'


@pytest.fixture
def trouble(tmp_path):
    (tmp_path / "trouble.py").write_text(TROUBLE)
    made = []

    def start(workers=2, **options):
        daemon = Daemon(tmp_path, CONFIG.format(workers), **options)
        made.append(daemon)
        daemon.start()
        daemon.wait_for("READY=1")
        daemon.wait_for_log("Started worker-", workers)
        return daemon

    yield start
    for daemon in made:
        daemon.close()


@pytest.mark.parametrize("path", ["/scribble", "/lie"])
def test_garbage_on_the_channel_is_not_listened_to(trouble, path):
    daemon = trouble()
    assert daemon.get(path).status == 200
    assert "gen 2, 2 workers" in daemon.reload()
    assert daemon.get().status == 200


def test_a_signal_without_a_name(trouble):
    daemon = trouble()
    with contextlib.suppress(OSError):
        daemon.get("/realtime")
    daemon.wait_for_log(": signal 40")
    daemon.wait_for_log("Started worker-", 3)
    assert daemon.get().status == 200


@pytest.mark.parametrize(
    "reason", ["Неизвестный товар" * 2000, "é" * 200_000, "bad \udc80 \n STOPPING=1"]
)
def test_a_reason_in_any_script_and_of_any_length(trouble, tmp_path, reason):
    daemon = trouble()
    (tmp_path / "trouble.py").write_text(f"raise RuntimeError({reason!a})")
    assert "last reload failed" in daemon.reload()
    assert not any("STOPPING" in message for message in daemon.messages)
    assert daemon.get().status == 200


def test_a_standard_output_that_takes_nothing(trouble, tmp_path):
    """A child must not come back into the master's code, whatever fails on its way out."""
    source = (tmp_path / "trouble.py").read_text()
    (tmp_path / "trouble.py").write_text("print('imported')\n" + source)
    arguments = ["trouble:app", "--interface", "asginl", "--port", "0", "--workers", "3"]
    log = tmp_path / "full.log"
    with open("/dev/full", "w") as full, log.open("w") as err:
        command = [sys.executable, "-m", "granian_d", *arguments]
        # Buffered, so that it fails at the very end; PYTHONUNBUFFERED would end the import.
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        process = subprocess.Popen(command, cwd=tmp_path, stdout=full, stderr=err, env=environ)
        wait_until(lambda: log.read_text().count("Started worker-") == 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert log.read_text().count("Spawning worker-") == 3


def test_closed_standard_streams_and_odd_signal_states(tmp_path):
    (tmp_path / "trouble.py").write_text(TROUBLE)
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])\n"
        "os.close(0); os.close(1); os.close(2)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'granian_d', *sys.argv[1:]])\n"
    )
    log = tmp_path / "d.log"
    arguments = ["trouble:app", "--interface", "asginl", "--port", "0", "--log-file", str(log)]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=tmp_path)
    wait_until(lambda: log.exists() and "Started worker-1" in log.read_text())
    port = int(log.read_text().split("Listening at: http://127.0.0.1:")[1].split("\n")[0])
    assert fetch(("127.0.0.1", port)).status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "Unexpected exit" not in log.read_text()


def test_children_of_the_application_do_not_hold_the_port(trouble):
    daemon = trouble(1)
    port = daemon.port
    orphan = int(daemon.get("/fork").text)
    try:
        assert daemon.stop() == 0
        assert alive(orphan)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        socket.create_server(("127.0.0.1", port)).close()
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_an_executor_of_processes_ends_with_its_worker(trouble):
    daemon = trouble(1)
    helper = int(daemon.get("/pool").text)
    assert daemon.stop() == 0
    wait_until(lambda: not alive(helper))
    assert "Killing worker" not in daemon.log


def test_sigterm_to_the_only_worker_leaves_no_gap(trouble):
    daemon = trouble(1)
    idle = daemon.connection()
    assert idle.ask().status == 200
    (worker,) = daemon.workers()
    os.kill(worker, signal.SIGTERM)
    daemon.wait_for_log("Started worker-1", 2)
    assert daemon.get().status == 200
    assert idle.ask().fields["connection"] == "close"
    wait_until(lambda: not alive(worker))
    assert "Unexpected exit" not in daemon.log


def test_a_reload_after_the_start_directory_was_removed(tmp_path):
    home, start = tmp_path / "app", tmp_path / "release"
    home.mkdir()
    start.mkdir()
    (home / "trouble.py").write_text(TROUBLE)
    daemon = Daemon(start, CONFIG.format(1) + f'working_dir = "{home}"\n')
    daemon.config.rename(home / "app.toml")
    daemon.arguments = ("--config", str(home / "app.toml"))
    daemon.start()
    try:
        daemon.wait_for("READY=1")
        daemon.log_path = daemon.log_path.rename(tmp_path / "stderr.log")
        (start / "stdout.log").unlink()
        start.rmdir()
        assert "gen 2, 1 workers" in daemon.reload()
        assert daemon.get().status == 200
    finally:
        daemon.close()


def test_reloads_that_fail_leave_no_log_file_open(trouble, tmp_path):
    daemon = trouble(1)
    good = daemon.config.read_text()
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for number in range(3):
            port = taken.getsockname()[1]
            log = (
                f'log.file = "{tmp_path}/{number}.log"\naccess_log.file = "{tmp_path}/{number}.a"\n'
            )
            daemon.config.write_text(good.replace("port = 0", f"port = {port}") + log)
            assert "cannot listen on" in daemon.reload()
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) == before
    assert daemon.get().status == 200


def test_a_pause_of_the_whole_tree_is_nobodys_fault(trouble, tmp_path):
    """SIGSTOP of all, as a frozen container has it, for longer than the stall timeout."""
    daemon = trouble(2, arguments=("--workers-stall-timeout", "2"))
    tree = [daemon.pid, *daemon.workers()]
    for pid in tree:
        os.kill(pid, signal.SIGSTOP)
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.process.wait(3.5)  # the pause itself: nothing can be waited for in it
    for pid in tree:
        os.kill(pid, signal.SIGCONT)
    count = len(daemon.messages)
    assert "gen 2, 2 workers" in daemon.reload()
    assert len(daemon.messages) >= count
    assert "no progress" not in daemon.log
