"""A real browser: HTTP/2 by ALPN, and WebSockets over it, with a certificate of our own making."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.certificates import Authority
from tests.process.daemon import PATIENCE_S, Daemon, wait_until
from tests.process.tools import need
from tests.wire.harness import ENGINES

# The page asks for a further resource, talks to a WebSocket, and reports what it has seen.
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
    if (seen.said.length === 3) socket.close(3001, "enough");
  };
  socket.onopen = () => {
    seen.subprotocol = socket.protocol;
    seen.extensions = socket.extensions;
    socket.send("grüße");
    socket.send(new Uint8Array(70000));
    socket.send("y".repeat(100000));
  };
  const end = await new Promise(resolve => { socket.onclose = socket.onerror = resolve; });
  seen.said = seen.said.map(one => String(one).length > 100 ? String(one).length : one);
  seen.clean = end.wasClean;
  seen.code = end.code;
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (message := await receive())["type"] == "websocket.receive":
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


@pytest.mark.parametrize("http", ["auto", "1"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_browser_reads_and_talks(tmp_path, engine, http):
    browser = need("chromium", "chromium")
    (tmp_path / "page.py").write_text(APP)
    arguments = ("page:app", "--interface", "asginl", "--port", "0", "--engine", engine)
    certificate, key = Authority().issue("localhost").write(tmp_path, "host")
    arguments += ("--http", http, "--ssl-certificate", certificate, "--ssl-keyfile", key)
    with Daemon(tmp_path, arguments=arguments) as daemon:
        options = ["--headless=new", "--disable-gpu", "--ignore-certificate-errors"]
        options += ["--no-sandbox"] if os.getuid() == 0 else []
        options += [f"--user-data-dir={tmp_path}/profile", "--no-first-run"]
        log = tmp_path / "browser.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [browser, *options, f"https://localhost:{daemon.port}/"],
                stdout=errors,
                stderr=errors,
            )
        try:
            wait_until((tmp_path / "seen").exists, lambda: log.read_text() + daemon.log)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    seen = json.loads((tmp_path / "seen").read_text())
    version = "2" if http == "auto" else "1.1"
    assert seen["page"] == ("h2" if http == "auto" else "http/1.1")
    assert seen["posted"] == f"{version} 100000"
    assert seen["subprotocol"] == "chat"
    assert "permessage-deflate" in seen["extensions"]
    assert seen["said"] == ["grüße", 70000, 100000]
    assert (seen["clean"], seen["code"]) == (True, 3001)
