"""Clients that speak HTTP/2 of their own: curl, nghttp2's h2load, httpx."""

from __future__ import annotations

import re
import subprocess

import httpx
import pytest

from tests.process.conftest import APPLICATION
from tests.process.daemon import PATIENCE_S, Daemon
from tests.process.tools import need
from tests.wire.harness import ENGINES

UPGRADED = {"--http1.1": "1.1", "--http2": "2", "--http2-prior-knowledge": "2"}
MIB = 1024 * 1024

APP = (
    APPLICATION
    + """

async def versions(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    size = int(scope["query_string"] or 0)
    if scope["method"] == "POST":
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body")
        return await answer(send, str(size))
    if size:
        return await answer(send, "x" * size)
    await answer(send, f"{scope['http_version']} {scope['scheme']} {dict(scope['headers'])[b'host'].decode()}")
"""
)


@pytest.fixture(params=ENGINES)
def daemon(request, tmp_path):
    (tmp_path / "clients.py").write_text(APP)
    arguments = (
        "clients:versions",
        "--interface",
        "asgi",
        "--port",
        "0",
        "--engine",
        request.param,
    )
    with Daemon(tmp_path, arguments=arguments) as daemon:
        yield daemon


def curl(daemon: Daemon, *arguments: str, path: str = "/") -> str:
    """What curl prints: the body, then the version that was spoken in the end."""
    program = need("curl", "curl")
    url = f"http://127.0.0.1:{daemon.port}{path}"
    quiet = ("--silent", "--show-error", "--max-time", str(int(PATIENCE_S)))
    done = subprocess.run(
        [program, *quiet, "--write-out", " %{http_version}", *arguments, url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("option", UPGRADED)
def test_curl_speaks_what_it_is_told_to(daemon, option):
    version = UPGRADED[option]
    host = f"127.0.0.1:{daemon.port}"
    assert curl(daemon, option) == f"{version} http {host} {version}"


@pytest.mark.parametrize("option", UPGRADED)
def test_curl_sends_a_body(daemon, tmp_path, option):
    (tmp_path / "body").write_bytes(b"x" * 3 * MIB)
    said = curl(daemon, option, "--data-binary", f"@{tmp_path / 'body'}")
    assert said.split()[0] == str(3 * MIB)


@pytest.mark.parametrize("option", UPGRADED)
def test_curl_gets_a_large_answer(daemon, option):
    said = curl(daemon, option, path=f"/?{3 * MIB}")
    assert said == "x" * 3 * MIB + f" {UPGRADED[option]}"


def test_many_streams_of_many_connections(daemon):
    """Every request of h2load is answered, with 2xx, and no byte is missing."""
    program = need("h2load", "nghttp2-client")
    url = f"http://127.0.0.1:{daemon.port}/?10"
    done = subprocess.run(
        [program, "-n", "4000", "-c", "8", "-m", "16", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S * 2,
    )
    succeeded = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    assert succeeded is not None, done.stdout
    assert succeeded.groups() == ("4000", "0", "0"), done.stdout
    assert re.search(r"status codes: 4000 2xx", done.stdout), done.stdout
    assert re.search(r"\(40000\) data", done.stdout), done.stdout


def test_httpx(daemon):
    with httpx.Client(http1=False, http2=True, timeout=PATIENCE_S) as client:
        url = f"http://127.0.0.1:{daemon.port}"
        answer = client.get(url)
        assert answer.http_version == "HTTP/2"
        assert answer.text == f"2 http 127.0.0.1:{daemon.port}"
        assert client.post(url, content=b"x" * MIB).text == str(MIB)
        assert len(client.get(f"{url}?{MIB}").content) == MIB
