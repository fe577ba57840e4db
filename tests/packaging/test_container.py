"""The image, run as it is meant to be: granian-d is PID 1 and nobody in particular.

A slow proof: `make container-test` builds the image and runs this.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import uuid

import pytest

from tests.process.daemon import PATIENCE_S, fetch, wait_until
from tests.systemd.service import free_port

IMAGE = os.environ.get("GRANIAN_D_IMAGE", "")
RUNTIME = next(filter(shutil.which, ("podman", "docker")), "")
SOMEBODY = "1234567:0"  # as OpenShift has it: a number that no file knows, in root's group

APPLICATION = """
import json, os, subprocess


async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    answer = {"/echo": echo, "/orphan": orphan, "/exists": exists}.get(scope["path"], who)(body)
    await send({"type": "http.response.body", "body": answer})


def echo(body):
    return body


def who(body):
    return json.dumps({"uid": os.getuid(), "gid": os.getgid(), "master": os.getppid()}).encode()


def orphan(body):
    # Its parent does not wait for it, nor do we.
    return subprocess.check_output(["sh", "-c", "sleep 0.1 >/dev/null & echo $!"])


def exists(body):
    return str(os.path.exists(f"/proc/{int(body)}")).encode()
"""


def run(*command: str) -> str:
    """What a command of the runtime says; it must succeed."""
    done = subprocess.run([RUNTIME, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Container:
    """One run of the image with an application.

    Args:
        directory: of the test's own; the image's user can look into it.
        options: of `run`.
        environ: GRANIAN_* for it.
    """

    def __init__(self, directory, *options: str, **environ: str) -> None:
        self.name = f"granian-d-{uuid.uuid4().hex[:8]}"
        (directory / "main.py").write_text(APPLICATION)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(directory / "notify"))
        for path, mode in ((directory, 0o755), (directory / "notify", 0o666)):
            path.chmod(mode)
        variables = {
            "GRANIAN_APP": "main:app",
            "GRANIAN_INTERFACE": "asginl",
            "NOTIFY_SOCKET": "/app/notify",
            **environ,
        }
        given = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        named = ("--name", self.name, "-v", f"{directory}:/app:ro,z")
        run("run", "-d", *named, *given, *options, IMAGE)

    def close(self) -> None:
        """Remove it."""
        print(self.logs())  # pytest shows it where the test failed
        run("rm", "-f", self.name)
        self.notify.close()

    def wait_for(self, told: str) -> None:
        """Return when it has told its service manager, which is the test, `told`."""
        lines: list[str] = []
        while told not in lines:
            ready, _, _ = select.select([self.notify], [], [], PATIENCE_S)
            assert ready, f"no {told}: {self.logs()}"
            lines = self.notify.recv(65536).decode().splitlines()

    def logs(self) -> str:
        done = subprocess.run(
            [RUNTIME, "logs", self.name], capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    def inside(self, *command: str) -> str:
        return run("exec", self.name, *command)

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        return int(run("wait", self.name))


@pytest.fixture(autouse=True)
def image():
    """There is one, and something that runs it."""
    if not IMAGE:
        pytest.skip("make container-test builds the image and runs this")
    if not RUNTIME:
        pytest.skip("podman or docker runs an image: apt install podman")


@pytest.fixture
def container(tmp_path):
    """Start one on a port of its own of this machine's loopback."""
    opened = []

    def start(
        *options: str, network: str = "host", ready: bool = True, **environ: str
    ) -> Container:
        directory = tmp_path / "app"
        directory.mkdir()
        one = Container(directory, "--network", network, *options, **environ)
        opened.append(one)
        if ready:
            one.wait_for("READY=1")
        return one

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def address():
    return "127.0.0.1", free_port()


def here(address) -> dict[str, str]:
    return {"GRANIAN_PORT": str(address[1])}


def test_it_is_the_first_process_and_not_root(container, address):
    container(**here(address))

    assert fetch(address).json == {"uid": 10001, "gid": 0, "master": 1}


def test_it_writes_nothing_and_is_anybody(container, address):
    container("--read-only", "--user", SOMEBODY, "--cap-drop", "all", **here(address))

    assert fetch(address).json["uid"] == int(SOMEBODY.partition(":")[0])


def test_it_listens_on_all_addresses_and_says_how_it_is(container):
    it = container("--read-only", network="none", GRANIAN_ENGINE="native")

    report = it.inside("granianctl", "status")

    assert "http://0.0.0.0:8000" in report
    assert "native engine, PID 1," in report
    assert image_says("Healthcheck")["Test"] == ["CMD", "granianctl", "status"]


def test_what_is_under_way_is_answered_before_it_leaves(container, address):
    it = container(GRANIAN_WORKERS="2", **here(address))
    with socket.create_connection(address, PATIENCE_S) as peer:
        head = (
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        peer.sendall(head)
        assert peer.recv(65536).startswith(b"HTTP/1.1 100 ")  # the application waits for the body

        run("kill", "--signal", "TERM", it.name)
        it.wait_for("STOPPING=1")
        peer.sendall(b"late")

        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"late" in answer
    assert it.wait() == 0
    assert image_says("StopSignal") == "SIGTERM"


def image_says(key: str):
    """Of the image's configuration; podman has what docker added outside of it."""
    (image,) = json.loads(run("image", "inspect", IMAGE))
    return {**image, **image["Config"]}[key]


def test_a_stop_that_comes_while_it_starts_is_heard(container, address):
    """Python takes a moment to have handlers, without which the kernel drops signals to PID 1."""
    it = container(ready=False, **here(address))

    run("kill", "--signal", "TERM", it.name)

    assert it.wait() == 0


def test_a_reload_takes_what_the_application_has_become(container, address, tmp_path):
    it = container(**here(address))
    path = tmp_path / "app" / "main.py"
    path.write_text(APPLICATION.replace("return body", "return body + b' again'"))

    it.inside("granianctl", "reload", "--wait")

    assert fetch(address, "/echo", "POST", b"once").text == "once again"


def test_it_collects_the_orphans_of_its_workers(container, address):
    container(**here(address))

    orphan = fetch(address, "/orphan").body

    wait_until(lambda: fetch(address, "/exists", "POST", orphan).text == "False")


def test_a_file_that_is_mounted_takes_the_place_of_the_images(container, tmp_path):
    path = tmp_path / "app.toml"
    path.write_text('working_dir = "/app"\nlisten = ["unix:/dev/shm/own.sock"]\n')
    path.chmod(0o644)

    it = container("-v", f"{path}:/etc/granian/app.toml:ro,z")

    assert "unix:/dev/shm/own.sock" in it.inside("granianctl", "status")


def test_wrong_settings_end_it_at_once_and_say_where():
    done = subprocess.run(
        [RUNTIME, "run", "--rm", "--network", "none", IMAGE, "main:app", "--workers", "0"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == os.EX_CONFIG
    assert "workers" in done.stderr
