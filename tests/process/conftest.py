"""Applications and daemons for the process tests."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

from tests.process.ctl import Ctl
from tests.process.daemon import Daemon

# What the process tests serve. `VERSION` is rewritten by tests that deploy; the paths do what
# their names say.
APPLICATION = """
import asyncio, json, os, time

VERSION = "one"


async def lifespan(receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    path = scope["path"]
    if path == "/slow":
        await asyncio.sleep(float(scope["query_string"] or 1))
    elif path == "/hang":
        time.sleep(3600)
    elif path == "/environ":
        fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
               if os.path.lexists(f"/proc/self/fd/{fd}")}
        umask = os.umask(0)
        os.umask(umask)
        return await answer(send, json.dumps({"environ": dict(os.environ), "fds": fds,
            "pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
            "umask": umask, "cwd": os.getcwd()}))
    elif path == "/upload":
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        return await answer(send, str(size))
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(int(scope["query_string"])):
            part = f"{number}\\n".encode()
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0.1)
        return await send({"type": "http.response.body"})
    elif path == "/die":
        os._exit(3)
    await answer(send, f"{VERSION} {os.getpid()}")


async def answer(send, text):
    body = text.encode()
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""

CONFIG = """
app = "served:app"
interface = "asgi"
host = "127.0.0.1"
port = 0
workers = {workers}
{more}
"""


@pytest.fixture
def deploy(tmp_path):
    """Write the application anew, with a version and, if wanted, something that breaks it."""

    def write(version: str = "one", broken: str = "") -> None:
        written = tmp_path / "served.new"
        written.write_text(APPLICATION.replace('"one"', repr(version)) + broken)
        # Two versions within one second have one mtime; the cached bytecode must not be believed.
        stamp = write.stamp = write.stamp + 10
        os.utime(written, (stamp, stamp))
        written.rename(tmp_path / "served.py")  # a worker that imports reads all of one version

    write.stamp = 1_700_000_000
    write()
    return write


@pytest.fixture
def make_daemon(tmp_path, deploy):
    """Make a daemon that serves the application above; closed at the end of the test."""
    made = []

    def make(workers: int = 2, more: str = "", **options) -> Daemon:
        daemon = Daemon(tmp_path, CONFIG.format(workers=workers, more=more), **options)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def serve(make_daemon):
    """The same, started, with all of its workers serving (READY comes with the first)."""

    def start(workers: int = 2, more: str = "", **options) -> Daemon:
        daemon = make_daemon(workers, more, **options).start()
        daemon.wait_for("READY=1")
        if "log.file" not in more:
            daemon.wait_for_log("Started worker-", workers)
        return daemon

    return start


@pytest.fixture
def runtime():
    """$RUNTIME_DIRECTORY of a service."""
    directory = tempfile.mkdtemp(prefix="gd")  # sun_path is short, tmp_path is long
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def ctl(runtime):
    return Ctl(runtime)
