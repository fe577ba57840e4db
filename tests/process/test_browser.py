"""A real browser: HTTP/2 by ALPN, HTTP/3, and WebSockets, with a certificate of our own making."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import Authority
from tests.process.daemon import PATIENCE_S, Daemon, wait_until
from tests.process.h3_site import CONFIG
from tests.process.tools import need
from tests.wire.harness import ENGINES

# The page asks for a further resource, talks to a WebSocket, and reports what it has seen. Where it
# is told to, it asks again until that goes over HTTP/3.
APP = '''
import os

PAGE = """<!doctype html><title>granian-d</title><script>
(async () => {
  const seen = {};
  seen.page = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  seen.posted = await (await fetch("/echo", {method: "POST", body: "x".repeat(100000)})).text();
  const socket = new WebSocket(`wss://${location.host}/talk`, ["chat"]);
  socket.binaryType = "arraybuffer";
  seen.said = [];
  socket.onmessage = event => {
    seen.said.push(typeof event.data === "string" ? event.data : event.data.byteLength);
    if (seen.said.length === 4) socket.close(3001, "enough");
  };
  socket.onopen = () => {
    seen.subprotocol = socket.protocol;
    seen.extensions = socket.extensions;
    socket.send("version");
    socket.send("grüße");
    socket.send(new Uint8Array(70000));
    socket.send("y".repeat(100000));
  };
  const end = await new Promise(resolve => { socket.onclose = socket.onerror = resolve; });
  seen.said = seen.said.map(one => String(one).length > 100 ? String(one).length : one);
  seen.clean = end.wasClean;
  seen.code = end.code;
  const hops = () => performance.getEntriesByType("resource").map(one => one.nextHopProtocol);
  for (let n = 0; n < 500 && location.hash === "#wait" && !hops().includes("h3"); n++)
    await (await fetch("/echo?" + n)).text();
  seen.hops = hops();
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "version":
                message = {"text": scope["http_version"]}
            kept = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
            await send({"type": "websocket.send", **kept})
    elif scope["type"] == "http":
        said, more = b"", True
        while more:
            message = await receive()
            said += message.get("body", b"")
            more = message.get("more_body")
        if scope["path"] == "/seen":
            with open("seen.new", "wb") as seen:
                seen.write(said)
            os.rename("seen.new", "seen")
        body = PAGE if scope["path"] == "/" else f"{scope['http_version']} {len(said)}"
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})
'''


@pytest.fixture
def browse(tmp_path):
    """Have a browser read the page of a daemon; what it has seen."""

    def run(daemon: Daemon, url: str, *options: str) -> dict:
        browser = need("chromium", "chromium")
        options += ("--no-sandbox",) if os.getuid() == 0 else ()
        options += ("--headless=new", "--disable-gpu", "--no-first-run")
        log = tmp_path / "browser.log"
        with log.open("wb") as errors, contextlib.ExitStack() as end:
            process = subprocess.Popen(
                [browser, *options, f"--user-data-dir={tmp_path}/profile", url],
                stdout=errors,
                stderr=errors,
            )
            end.callback(process.wait, PATIENCE_S)
            end.callback(process.terminate)
            wait_until((tmp_path / "seen").exists, lambda: log.read_text() + daemon.log)
        return json.loads((tmp_path / "seen").read_text())

    (tmp_path / "page.py").write_text(APP)
    return run


def conversed(seen: dict, version: str) -> bool:
    assert seen["subprotocol"] == "chat"
    assert "permessage-deflate" in seen["extensions"]
    assert seen["said"] == [version, "grüße", 70000, 100000]
    return (seen["clean"], seen["code"]) == (True, 3001)


@pytest.mark.parametrize("http", ["auto", "1"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_browser_reads_and_talks(tmp_path, browse, engine, http):
    arguments = ("page:app", "--interface", "asginl", "--port", "0", "--engine", engine)
    certificate, key = Authority().issue("localhost").write(tmp_path, "host")
    arguments += ("--http", http, "--ssl-certificate", certificate, "--ssl-keyfile", key)
    with Daemon(tmp_path, arguments=arguments) as daemon:
        seen = browse(daemon, f"https://localhost:{daemon.port}/", "--ignore-certificate-errors")
    version = "2" if http == "auto" else "1.1"
    assert seen["page"] == ("h2" if http == "auto" else "http/1.1")
    assert seen["posted"] == f"{version} 100000"
    assert conversed(seen, version)


class TestHttp3:
    """By a name, because "localhost" is ::1 to it first; its certificate is believed by its key."""

    @pytest.fixture
    def site(self, tmp_path):
        issued = Authority().issue("site.test")
        issued.write(tmp_path, "host")
        (tmp_path / "page.py").write_text(APP)
        config = CONFIG.format(workers=2, more="", tables="").replace("served:app", "page:app")
        key = issued.certificate.public_key()
        digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        believed = base64.b64encode(digest.digest()).decode()
        with Daemon(tmp_path, config, ("--interface", "asginl")) as daemon:
            daemon.options = (
                "--host-resolver-rules=MAP site.test 127.0.0.1",
                f"--ignore-certificate-errors-spki-list={believed}",
            )
            yield daemon

    def test_all_over_http3(self, site, browse):
        """WebSockets, too, with a feature that is off in browsers as they come."""
        seen = browse(
            site,
            f"https://site.test:{site.port}/",
            *site.options,
            f"--origin-to-force-quic-on=site.test:{site.port}",
            "--enable-features=EnableWebsocketsOverHttp3",
        )
        assert seen["page"] == "h3"
        assert seen["posted"] == "3 100000"
        assert set(seen["hops"]) == {"h3"}
        assert conversed(seen, "3")

    def test_alt_svc_is_followed(self, site, browse):
        """QUIC with an authority of one's own is allowed for hosts that are named for any port."""
        seen = browse(
            site,
            f"https://site.test:{site.port}/#wait",
            *site.options,
            "--origin-to-force-quic-on=site.test:9",
        )
        assert seen["page"] == "h2"
        assert seen["hops"][-1] == "h3"
        assert conversed(seen, "2")
