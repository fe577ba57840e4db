"""A program that starts the daemon itself: hooks, its own loader and loop, and what it is left with."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.process.daemon import Daemon

# It tells what happens to it in a file, one line of JSON each. The application is a closure over
# what only this process knows, and its loop is one that only this process has registered.
PROGRAM = """
import asyncio, atexit, gc, json, os, signal, sys
from setproctitle import getproctitle
from granian_d import Granian, loops
from granian_d.constants import Interfaces

def tell(*what):
    with open("told", "a") as file:
        print(json.dumps([os.getpid(), *what]), file=file)

def state():
    signals = {name: signal.getsignal(getattr(signal, name)) == handler
               for name, handler in own.items()}
    return {"signals": signals, "title": getproctitle() == title, "frozen": gc.get_freeze_count(),
            "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "wakeup": signal.set_wakeup_fd(-1),
            "fds": sorted(os.listdir("/proc/self/fd"))}

class Loop(asyncio.SelectorEventLoop):
    word = "of the program"

@loops.register("auto")
def build():
    return Loop()

def load(target):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError
        loop = asyncio.get_running_loop()
        text = f"{target}, {closure}, {getattr(loop, 'word', 'none')}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
    return app

if __name__ == "__main__":
    closure = f"made by {os.getpid()}"
    atexit.register(tell, "exit")
    own = {"SIGTERM": signal.getsignal(signal.SIGTERM), "SIGHUP": lambda *_: None}
    signal.signal(signal.SIGHUP, own["SIGHUP"])
    title = getproctitle()
    server = Granian("not.imported:app", port=0, interface=Interfaces.ASGI, workers=2,
                     websockets=False)
    refuse = []

    @server.on_startup
    def up(): print("printed once"); tell("up")
    @server.on_reload
    def again():
        tell("again")
        if os.path.exists("broken"): raise ValueError("not now")
    @server.on_shutdown
    def down(): tell("down")

    before = state()
    server.serve(target_loader=load)
    tell("before", before)
    tell("after", state())
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    directory = tmp_path_factory.mktemp("program")
    (directory / "program.py").write_text(PROGRAM)
    daemon = Daemon(directory)
    daemon.program = ("program.py",)
    with daemon:
        yield daemon


def told(program, pid=None):
    lines = map(json.loads, (program.directory / "told").read_text().splitlines())
    return [what for who, *what in lines if who == (pid or program.pid)]


def test_it_serves_what_its_own_loader_gives_on_its_own_loop(program):
    text = f"not.imported:app, made by {program.pid}, of the program"
    assert program.get("/").text == text
    assert told(program) == [["up"]]


def test_a_reload_calls_its_hook_and_makes_a_new_generation(program):
    assert program.reload().startswith("gen 2")
    assert told(program)[-1] == ["again"]


def test_a_hook_that_raises_costs_the_reload_only(program):
    (program.directory / "broken").touch()
    assert "on_reload failed: ValueError: not now" in program.reload()
    (program.directory / "broken").unlink()
    assert program.get("/").status == 200


def test_it_cannot_be_upgraded_in_place(program):
    program.signal("USR2")
    program.wait_for_log(
        "Upgrade failed, this granian-d goes on: a daemon that a program has started"
    )


def test_it_goes_on_as_it_was(program):
    """The last test of this daemon."""
    assert program.stop() == 0
    *_, down, before, after, exit_ = told(program)
    assert [down, exit_] == [["down"], ["exit"]]
    assert after[1] == before[1]
    lines = (program.directory / "told").read_text().splitlines()
    assert {json.loads(line)[0] for line in lines} == {program.pid}, "a worker is not the program"
    assert (program.directory / "stdout.log").read_text() == "printed once\n"


def run(directory, text, *arguments):
    (directory / "program.py").write_text(text)
    command = [sys.executable, "program.py", *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GRANIAN_")}
    return subprocess.run(
        command,
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


START = """
import os, signal, sys
from granian_d import Granian
from granian_d.errors import FatalError, PidFileError
"""


def test_what_goes_wrong_is_raised(tmp_path):
    (tmp_path / "a.pid").write_text(f"{os.getpid()}\n")
    text = """
try:
    Granian("main:app", port=0, pid_file="a.pid").serve()
except PidFileError as error:
    print("pid", error)
server = Granian("main:app", port=0)
@server.on_startup
def up(): raise KeyError("mine")
try:
    server.serve()
except KeyError as error:
    print("hook", error)
try:
    Granian("main:app", port=0).serve(spawn_target=print)
except FatalError as error:
    print("spawn", error)
import threading
server, thread = Granian("main:app", port=0), None
def serve():
    try:
        server.serve()
    except FatalError as error:
        print("thread", error)
thread = threading.Thread(target=serve); thread.start(); thread.join()
try:
    Granian("nothing:app", port=0).serve()
except SystemExit as stop:
    print("exit", stop.code)
"""
    said = dict(line.split(" ", 1) for line in run(tmp_path, START + text).stdout.splitlines())
    assert said["pid"].endswith(f"process {os.getpid()} runs already")
    assert said["hook"] == "'mine'"
    assert said["spawn"].startswith("spawn_target: workers have a main function of their own")
    assert said["thread"].startswith("serve() is for the main thread")
    assert said["exit"] == str(os.EX_DATAERR)


# The same from a child of multiprocessing; the parent asks it, and then ends it.
CHILD = """
import multiprocessing, socket, sys, urllib.request
from granian_d import Granian

def serve(port):
    Granian("served:app", port=port, interface="wsgi", blocking_threads=2).serve()

if __name__ == "__main__":
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    child = multiprocessing.get_context(sys.argv[1]).Process(target=serve, args=[port])
    child.start()
    while child.is_alive():
        try:
            print(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).read().decode())
            break
        except OSError:
            continue
    child.terminate()
    child.join()
    print(child.exitcode)
"""
SERVED = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"there"]
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_from_a_child_of_multiprocessing(tmp_path, method):
    (tmp_path / "served.py").write_text(SERVED)
    done = run(tmp_path, CHILD, method)
    assert done.stdout == "there\n0\n", done.stderr


def test_the_import_is_light():
    code = (
        "import sys; import granian_d; from granian_d import Granian; "
        "print(*[name for name in ('pydantic', 'asyncio', 'threading') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["threading"]
