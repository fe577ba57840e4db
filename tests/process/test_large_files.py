"""A file that is larger than all that a worker should hold, through each interface and engine."""

from __future__ import annotations

import random
import re
import socket
from pathlib import Path

import pytest

from granian_d.engine.choose import is_compiled
from tests.process.daemon import PATIENCE_S, Daemon, wait_until

MIB = 1 << 20
CONTENT = random.Random(3).randbytes(20 * MIB)
FIRST = 2 * MIB  # read before the rest: less than the file, more than the buffers in between
LINE = "%(path)s %(size)s"  # of the access log
MOST_GROWTH_KIB = 5 * 1024  # a quarter of the file: queues, buffers, what the first request loads

APPLICATIONS = {
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/file":
        head = {{"headers": [(b"content-length", b"{size}")]}}
        await send({{"type": "http.response.start", "status": 200, **head}})
        await send({{"type": "http.response.pathsend", "path": "{path}"}})
    else:
        await send({{"type": "http.response.start", "status": 200}})
        await send({{"type": "http.response.body", "body": b"small"}})
""",
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/file":
        return environ["wsgi.file_wrapper"](open("{path}", "rb"))
    return [b"small"]
""",
    "rsgi": """
async def app(scope, protocol):
    if scope.path == "/file":
        protocol.response_file(200, [], "{path}")
    elif scope.path == "/range":
        protocol.response_file_range(206, [], "{path}", 1_000, 5_001_000)
    else:
        protocol.response_str(200, [], "small")
""",
}


class Site:
    """A worker that serves the file."""

    def __init__(self, daemon: Daemon, path: Path) -> None:
        self.daemon = daemon
        self.path = path
        (self.worker,) = daemon.workers()

    def ask(self, *paths: str) -> socket.socket:
        """A peer with little room that has asked for that, and has read nothing yet."""
        client = socket.socket()
        client.settimeout(PATIENCE_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", self.daemon.port))
        for path in paths:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client

    def small(self) -> None:
        """A request of another peer is answered."""
        assert self.daemon.get().body == b"small"

    def memory_kib(self) -> int:
        status = Path(f"/proc/{self.worker}/status").read_text()
        found = re.search(r"^VmHWM:\s*(\d+)", status, re.MULTILINE)
        assert found
        return int(found[1])

    def holds_file(self) -> bool:
        for link in Path(f"/proc/{self.worker}/fd").iterdir():
            if link.is_symlink() and link.resolve() == self.path:
                return True
        return False


def read(client: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = client.recv(min(count - len(data), 65536))
        assert part, f"closed after {len(data)} of {count} bytes"
        data += part
    return bytes(data)


def read_head(client: socket.socket) -> bytes:
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        head += read(client, 1)
    return bytes(head).lower()


@pytest.fixture(params=["native", "pure"])
def engine(request):
    if request.param == "native" and not is_compiled():
        pytest.skip("the native engine is not compiled: apt install gcc python3-dev")
    return request.param


@pytest.fixture
def open_site(tmp_path, engine):
    made = []

    def start(interface: str) -> Site:
        path = tmp_path / "content"
        path.write_bytes(CONTENT)
        code = APPLICATIONS[interface].format(path=path, size=len(CONTENT))
        (tmp_path / "files.py").write_text(code)
        served = ("files:app", "--interface", interface, "--port", "0", "--workers", "1")
        arguments = (*served, "--engine", engine, "--access-log", "--access-log-fmt", LINE)
        made.append(Daemon(tmp_path, arguments=arguments))
        daemon = made[-1].__enter__()
        daemon.wait_for_log("Started worker-")
        return Site(daemon, path)

    yield start
    for daemon in made:
        daemon.close()


@pytest.mark.parametrize("interface", APPLICATIONS)
def test_a_slow_peer_gets_all_of_it_and_nobody_waits_or_pays(open_site, interface) -> None:
    site = open_site(interface)
    site.small()
    before = site.memory_kib()
    with site.ask("/file", "/small") as client:
        assert b"content-length: %d\r\n" % len(CONTENT) in read_head(client)
        assert read(client, FIRST) == CONTENT[:FIRST]
        site.small()
        assert read(client, len(CONTENT) - FIRST) == CONTENT[FIRST:]
        assert b" 200 " in read_head(client)
        assert read(client, 5) == b"small"
    assert site.memory_kib() - before < MOST_GROWTH_KIB
    wait_until(lambda: not site.holds_file())
    access_log = site.daemon.directory / "stdout.log"
    wait_until(lambda: f"/file {len(CONTENT)}\n" in access_log.read_text())


@pytest.mark.parametrize("interface", APPLICATIONS)
def test_a_file_that_becomes_shorter_is_cut_and_told_of(open_site, interface) -> None:
    site = open_site(interface)
    with site.ask("/file") as client:
        read_head(client)
        with site.path.open("r+b") as file:
            file.truncate(15 * MIB)
        with pytest.raises(ConnectionResetError):
            while client.recv(65536):
                pass
    site.daemon.wait_for_log("shorter")
    wait_until(lambda: not site.holds_file())
    site.small()


@pytest.mark.parametrize("interface", APPLICATIONS)
def test_a_peer_that_leaves_lets_go_of_the_file(open_site, interface) -> None:
    site = open_site(interface)
    with site.ask("/file") as client:
        read_head(client)
        assert site.holds_file()
    wait_until(lambda: not site.holds_file())
    site.small()
    assert "Traceback" not in site.daemon.log


def test_a_range_of_it(open_site) -> None:
    site = open_site("rsgi")
    with site.ask("/range") as client:
        assert b"\r\ncontent-length: 5000000\r\n" in read_head(client)
        assert read(client, 5_000_000) == CONTENT[1_000:5_001_000]
