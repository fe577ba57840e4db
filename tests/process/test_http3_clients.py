"""Clients that speak HTTP/3 of their own: curl's library, and ngtcp2's client."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from typing import TYPE_CHECKING

import curl_cffi
import pytest

from tests.process.daemon import PATIENCE_S, wait_until
from tests.process.h3_site import Site
from tests.process.test_metrics import scrape
from tests.process.tools import need

if TYPE_CHECKING:
    from tests.exposition import Page

MIB = 1 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    tables = "[metrics]\nenabled = true\nport = 0\n[quic]\nearly_data = true\n"
    with Site(tmp_path_factory.mktemp("site"), 2, tables=tables) as site:
        yield site


def test_early_data_of_any_worker_s_ticket(site):
    """What is safe is answered at once, what is not when the handshake is complete (RFC 8470)."""

    async def ask(method: str, body: bytes | None, ticket=None) -> tuple:
        tickets: list = []
        how = {"early": True, "session_ticket": ticket} if ticket else {"tickets": tickets}
        async with site.dial3(**how) as client:
            answer = await client.ask("/upload", method, body)
            return answer.text.split()[0], client.handshake.early_data_accepted, tickets

    *_, (ticket,) = asyncio.run(ask("GET", None))
    for _ in range(3):
        assert asyncio.run(ask("GET", None, ticket))[:2] == ("0", True)
        assert asyncio.run(ask("POST", b"x" * 500, ticket))[:2] == ("500", True)


class TestCurl:
    """libcurl with ngtcp2, nghttp3 and BoringSSL, which follows Alt-Svc by itself, too."""

    def ask(self, site, path="/", method="GET", version="v3only", **how):
        (site.directory / "authority.pem").write_bytes(site.authority.pem)
        url = f"https://localhost:{site.port}{path}"
        verify = str(site.directory / "authority.pem")
        return curl_cffi.request(
            method, url, http_version=version, verify=verify, timeout=PATIENCE_S, **how
        )

    def test_get(self, site):
        answer = self.ask(site, "/facts")
        assert (answer.status_code, answer.http_version) == (200, curl_cffi.CurlHttpVersion.V3)
        assert answer.json()["http_version"] == "3"

    def test_head(self, site):
        answer = self.ask(site, "/large?5000", "HEAD")
        assert (answer.headers["content-length"], answer.content) == ("5000", b"")

    def test_upload(self, site):
        answer = self.ask(site, "/upload", "POST", data=b"x" * 10 * MIB)
        assert answer.text.split()[0] == str(10 * MIB)

    def test_large_answer(self, site):
        assert len(self.ask(site, f"/large?{10 * MIB}").content) == 10 * MIB


class TestNgtcp2:
    """With GnuTLS. It prints what comes and goes, and counts nothing: the server's metrics do."""

    def ask(self, site, *options: str, path: str = "/") -> str:
        program = need("gtlsclient", "ngtcp2-client")
        url = f"https://localhost:{site.port}{path}"
        quiet = ("--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close")
        done = subprocess.run(
            [program, *quiet, *options, "127.0.0.1", str(site.port), url],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S * 2,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr + done.stdout

    def settled(self, site) -> Page:
        """What is counted when nothing is under way any more, of other clients neither."""
        wait_until(lambda: scrape(site).sum("requests_in_flight") == 0)
        return scrape(site)

    def count(self, site, *options: str, path: str = "/") -> tuple[int, str]:
        """How many requests the server has answered for it with 2xx, and what it said."""
        before = self.settled(site)
        said = self.ask(site, *options, path=path)
        after = self.settled(site)
        assert after("responses_total", code="5xx") == before("responses_total", code="5xx")
        return after("responses_total", code="2xx") - before("responses_total", code="2xx"), said

    def test_a_hundred_streams(self, site):
        count, said = self.count(site, "--nstreams", "100", path="/parts?20")
        assert count == 100
        assert len(re.findall(r"http: stream 0x[0-9a-f]+ \[:status: 200\]", said)) == 100

    def upload(self, site, directory, *options: str) -> tuple[str, str]:
        """10 MiB: what came of it, and what the client said."""
        (directory / "body").write_bytes(b"x" * 10 * MIB)
        options += ("-m", "POST", "-d", str(directory / "body"), "--download", str(directory))
        said = self.ask(site, *options, path="/upload")
        return (directory / "upload").read_text(), said

    def test_upload(self, site, tmp_path):
        assert self.upload(site, tmp_path)[0].split()[0] == str(10 * MIB)

    @pytest.mark.parametrize("options", [(), ("--nat-rebinding",)], ids=["on purpose", "NAT"])
    def test_it_moves(self, site, tmp_path, options):
        """While it sends: behind its NAT it hears nothing until it has said something."""
        counted, said = self.upload(site, tmp_path, "--change-local-addr", "20ms", *options)
        assert counted.split()[0] == str(10 * MIB)
        assert len(set(re.findall(r"Sent packet: local=\S+:(\d+) ", said))) == 2

    def test_key_update(self, site, tmp_path):
        path = f"/large?{10 * MIB}"
        said = self.ask(site, "--key-update", "10ms", "--download", str(tmp_path), path=path)
        assert (tmp_path / path[1:]).stat().st_size == 10 * MIB
        assert "key update confirmed" in said

    def test_a_bad_network(self, site, tmp_path):
        (tmp_path / "body").write_bytes(b"x" * (MIB // 16))
        options = ("-m", "POST", "-d", str(tmp_path / "body"), "-n", "4")
        count, _ = self.count(
            site, "--tx-loss", "0.1", "--rx-loss", "0.1", *options, path="/upload"
        )
        assert count == 4

    def test_resumption_and_early_data(self, site, tmp_path):
        files = ("--session-file", str(tmp_path / "session"), "--tp-file", str(tmp_path / "terms"))
        first = self.ask(site, *files, "--timeout", "2s", path="/facts")
        assert "0RTT" not in first
        said = self.ask(site, *files, "--download", str(tmp_path), path="/facts")
        assert json.loads((tmp_path / "facts").read_text())["http_version"] == "3"
        assert "0RTT" in said

    def test_a_version_that_nobody_speaks(self, site):
        """The server names those that it speaks (RFC 9000 6); version 1 is one of them."""
        program = need("gtlsclient", "ngtcp2-client")
        url = f"https://localhost:{site.port}/"
        done = subprocess.run(
            [program, "--no-quic-dump", "-v", "0x1a2a3a4a", "127.0.0.1", str(site.port), url],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert " VN v=0x00000001" in done.stderr
