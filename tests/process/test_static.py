"""Static files of a real daemon: both engines, each wire and each interface.

What is answered, and to what, is shown below a Site (tests/unit/interface/test_static_*.py); here that
it comes out so. Gaps of Granian's are named where they are mended ("Granian: ...").
"""

from __future__ import annotations

import gzip
import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from granian_d.engine.choose import is_compiled
from tests.certificates import Authority
from tests.process.daemon import PATIENCE_S, Daemon, fetch, wait_until
from tests.process.test_large_files import read, read_head
from tests.process.tools import need

MIB = 1 << 20
BIG = random.Random(5).randbytes(20 * MIB)
TEXT = b"body { color: black }\n" * 3000
AGE = "Tue, 14 Nov 2023 22:13:20 GMT"
AGE_S = 1_700_000_000

APPLICATIONS = {
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"application"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001})
""",
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"application"]
""",
    "rsgi": """
async def app(scope, protocol):
    if scope.proto == "http":
        protocol.response_str(200, [], "application")
    else:
        (await protocol.accept())
        protocol.close(4001)
""",
}
CONFIG = """
app = "site_:app"
interface = "{interface}"
engine = "{engine}"
workers = 1
health = "/static/-/health"
listen = ["127.0.0.1:0,tls=false", "[::1]:0"]

[ssl]
certificate = "host.crt"
keyfile = "host.key"

[access_log]
enabled = true
fmt = "%(protocol)s %(method)s %(path)s %(status)d %(size)s"

[static_path]
route = ["/static", "/static/media"]
mount = ["files", "media"]
dir_to_file = "index.html"
expires = "1h"
"""
WIRES = {
    "h1": ("--http1.1",),
    "h2": ("--http2-prior-knowledge",),
    "h1 over TLS": ("--http1.1", "--cacert"),
    "h2 over TLS": ("--http2", "--cacert"),
}


class Site:
    """A daemon and the files that it serves."""

    def __init__(self, directory: Path, engine: str, interface: str) -> None:
        self.directory = directory
        self.authority = directory / "authority.crt"
        authority = Authority()
        self.authority.write_bytes(authority.pem)
        authority.issue("localhost").write(directory, "host")
        (directory / "site_.py").write_text(APPLICATIONS[interface])
        files = directory / "files"
        (files / "deep").mkdir(parents=True)
        (directory / "media").mkdir()
        for path, content in (
            ("files/big.bin", BIG),
            ("files/a.css", TEXT),
            ("files/a.css.gz", gzip.compress(TEXT)),
            ("files/deep/index.html", b"index"),
            ("files/.env", b"secret"),
            ("media/a.txt", b"media"),
            ("secret.txt", b"secret"),
        ):
            (directory / path).write_bytes(content)
            os.utime(directory / path, (AGE_S, AGE_S))
        (files / "inside").symlink_to("deep")
        (files / "outside").symlink_to("../secret.txt")
        os.mkfifo(files / "fifo")
        self.daemon = Daemon(directory, CONFIG.format(engine=engine, interface=interface))

    def curl(self, wire: str, path: str, *arguments: str) -> tuple[str, bytes]:
        """The head in lower case, and the body."""
        program, options = need("curl", "curl"), WIRES[wire]
        secured = options[-1] == "--cacert"
        place = self.daemon.addresses[secured].rpartition(":")[2]
        if secured:
            options += (str(self.authority), "--resolve", f"localhost:{place}:[::1]")
        head = self.directory / "head"
        url = f"{'https://localhost' if secured else 'http://127.0.0.1'}:{place}{path}"
        quiet = ("--silent", "--show-error", "--max-time", str(int(PATIENCE_S)), "--path-as-is")
        done = subprocess.run(
            [program, *quiet, *options, "--dump-header", str(head), *arguments, url],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return head.read_text().lower(), done.stdout

    def get(self, path: str, method: str = "GET", **fields: str):
        """An answer on HTTP/1.1."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return fetch(("127.0.0.1", self.daemon.port), path, method, None, headers)

    def ask(self, path: str, *fields: str) -> socket.socket:
        """A connection on which something has been asked for."""
        client = socket.create_connection(("127.0.0.1", self.daemon.port), PATIENCE_S)
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
        client.sendall("\r\n".join(lines).encode())
        return client

    def holds(self, name: str) -> bool:
        """A worker has the file open."""
        (worker,) = self.daemon.workers()
        wanted = str(self.directory / name)
        links = Path(f"/proc/{worker}/fd").iterdir()
        return any(os.readlink(link) == wanted for link in links if link.is_symlink())

    @property
    def accesses(self) -> list[str]:
        return (self.directory / "stdout.log").read_text().splitlines()


@pytest.fixture(scope="module", params=["native rsgi", "native wsgi", "pure asgi"])
def site(request, tmp_path_factory):
    engine, interface = request.param.split()
    if engine == "native" and not is_compiled():
        pytest.skip("the native engine is not compiled: apt install gcc python3-dev")
    made = Site(tmp_path_factory.mktemp("site"), engine, interface)
    made.interface = interface
    with made.daemon:
        made.daemon.wait_for_log("Started worker-")
        yield made


@pytest.mark.parametrize("wire", WIRES)
def test_a_file_on_each_wire(site, wire):
    """Granian: chunked, without Content-Length, ETag, Last-Modified, Range or compressed forms."""
    head, body = site.curl(wire, "/static/big.bin")
    assert body == BIG
    assert f"\ncontent-length: {len(BIG)}\n" in head
    assert f"\nlast-modified: {AGE.lower()}\n" in head
    assert "\ncache-control: max-age=3600\n" in head
    assert "chunked" not in head
    tag = head.partition("\netag: ")[2].partition("\n")[0]
    head, body = site.curl(wire, "/static/big.bin", "--header", f"If-None-Match: {tag}")
    assert (" 304" in head.splitlines()[0], body) == (True, b"")
    assert site.curl(wire, "/static/big.bin", "--time-cond", AGE)[1] == b""
    head, body = site.curl(wire, "/static/big.bin", "--range", "1000000-5000000")
    assert body == BIG[1_000_000:5_000_001]
    assert f"\ncontent-range: bytes 1000000-5000000/{len(BIG)}\n" in head
    head, body = site.curl(wire, "/static/big.bin", "--range", "0-999999,-1000000")
    assert BIG[:1_000_000] in body
    assert BIG[-1_000_000:] in body
    assert f"\ncontent-length: {len(body)}\n" in head
    head, body = site.curl(wire, "/static/a.css", "--compressed")
    assert body == TEXT
    assert "\ncontent-encoding: gzip\n" in head
    assert "\ncontent-type: text/css; charset=utf-8\n" in head
    head, body = site.curl(wire, "/static/big.bin", "--head")
    assert f"\ncontent-length: {len(BIG)}\n" in head
    assert site.curl(wire, "/static/deep")[1] == b"index"
    assert site.curl(wire, "/elsewhere")[1] == b"application"


def test_every_hit_is_in_the_access_log(site):
    """Granian: none of them is."""
    site.get("/static/a.css?logged")
    site.get("/static/missing", "HEAD")
    site.get("/static/a.css", "POST")
    site.get("/static/-/health")
    site.get("/static/media/a.txt")
    wanted = [
        f"HTTP/1.1 GET /static/a.css 200 {len(TEXT)}",
        "HTTP/1.1 HEAD /static/missing 404 0",
        "HTTP/1.1 POST /static/a.css 405 18",
        "HTTP/1.1 GET /static/media/a.txt 200 5",
    ]
    wait_until(lambda: site.accesses[-4:] == wanted, lambda: f"{site.accesses[-6:]}")


PATHS = {
    "/static/a.css": 200,
    "/static/%61.css": 200,
    "/static/media/a.txt": 200,
    "/static/inside/index.html": 200,
    "/static/outside": 404,
    "/static/fifo": 404,
    "/static/.env": 404,
    "/static/../secret.txt": 404,
    "/static/%2e%2e/secret.txt": 404,
    "/static/..%2fsecret.txt": 404,
    "/static/..%5csecret.txt": 404,
    "/static/%252e%252e/secret.txt": 404,
    "/static/a.css%00.png": 404,
    "/static/media/../a.css": 404,
}


def test_what_is_found_and_what_is_refused(site):
    """The path as it is sent: no client has made it plain."""
    assert {path: site.get(path).status for path in PATHS} == PATHS
    assert {path: site.get(path).body for path in ("/staticx", "/%2e%2e/static/a.css")} == {
        "/staticx": b"application",
        "/%2e%2e/static/a.css": b"application",
    }


def test_a_body_that_nobody_reads(site):
    """Granian: a POST is answered with the file."""
    answer = fetch(("127.0.0.1", site.daemon.port), "/static/a.css", "POST", b"x" * MIB)
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_slow_peer_gets_all_and_nobody_waits_for_it(site):
    with site.ask("/static/big.bin", "Connection: close") as client:
        read_head(client)
        assert read(client, MIB) == BIG[:MIB]
        assert site.get("/static/media/a.txt").body == b"media"
        assert site.holds("files/big.bin")
        assert read(client, len(BIG) - MIB) == BIG[MIB:]
    wait_until(lambda: not site.holds("files/big.bin"))


def test_a_file_that_shrinks_while_it_is_sent(site):
    path = site.directory / "files" / "shrinks.bin"
    path.write_bytes(BIG)
    with site.ask("/static/shrinks.bin") as client:
        read_head(client)
        os.truncate(path, 15 * MIB)
        with pytest.raises(ConnectionResetError):
            while client.recv(65536):
                pass
    site.daemon.wait_for_log("a file became shorter while it was sent")
    wait_until(lambda: not site.holds("files/shrinks.bin"))
    assert site.get("/static/media/a.txt").status == 200


def test_a_websocket_below_a_route_is_the_applications(site):
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    with site.ask("/static/media/a.txt", *fields, key) as client:
        status = read_head(client).split()[1]
    assert status == (b"200" if site.interface == "wsgi" else b"101")


def test_mounts_come_and_go_with_a_reload(serve, tmp_path):
    """Their paths begin at the file that names them; the prefix of the application has no part."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("file")
    table = '[static_path]\nroute = ["/{}"]\nmount = ["files"]\n'
    daemon = serve(1, 'url_path_prefix = "/app"')
    bare = daemon.config.read_text()
    assert daemon.get("/one/a.txt").text.startswith("one ")  # the application's
    for route in ("one", "two"):
        daemon.config.write_text(bare + table.format(route))
        assert "failed" not in daemon.reload()
        assert daemon.get(f"/{route}/a.txt").text == "file"
    assert daemon.get("/one/a.txt").text.startswith("one ")
