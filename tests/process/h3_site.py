"""What tests of HTTP/3 serve, and a daemon that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.certificates import Authority
from tests.process.daemon import Daemon
from tests.process.h3_client import configuration, connect
from tests.process.tls_client import context_for

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

# The paths do what their names say. `VERSION` is rewritten by tests that deploy.
APPLICATION = """
import asyncio, hashlib, json, os, time

VERSION = "one"
PIECE = b"x" * 16384


async def lifespan(receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def talk(scope, receive, send):
    await receive()
    if scope["path"] == "/refused":
        return await send({"type": "websocket.close"})
    wanted = scope["subprotocols"]
    head = {"subprotocol": wanted[0] if wanted else None, "headers": [(b"x-pid", b"%d" % os.getpid())]}
    await send({"type": "websocket.accept", **head})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "facts":
            message = {"text": f"{scope['http_version']} {scope['scheme']} {os.getpid()}"}
        elif message.get("text") == "close":
            return await send({"type": "websocket.close", "code": 3001, "reason": "as you wish"})
        kept = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **kept})
    with open("ends", "a") as ends:
        ends.write(f"{message['code']}\\n")


async def begin(send, size=None, fields=(), **more):
    head = [(b"x-pid", b"%d" % os.getpid()), *fields]
    if size is not None:
        head.append((b"content-length", b"%d" % size))
    await send({"type": "http.response.start", "status": 200, "headers": head, **more})


async def answer(send, body):
    await begin(send, len(body))
    await send({"type": "http.response.body", "body": body})


async def upload(receive, send):
    summed, size, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        summed.update(message["body"])
        size += len(message["body"])
        more = message["more_body"]
    await answer(send, f"{size} {summed.hexdigest()}".encode())


async def parts(send, count, pause_s=0.0):
    await begin(send)
    for number in range(count):
        await send({"type": "http.response.body", "body": b"%d\\n" % number, "more_body": True})
        await asyncio.sleep(pause_s)
    await send({"type": "http.response.body"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        return await talk(scope, receive, send)
    path, query = scope["path"], scope["query_string"].decode()
    if path == "/upload":
        return await upload(receive, send)
    if path == "/large":
        await begin(send, int(query))
        for at in range(0, int(query), len(PIECE)):
            body = PIECE[: int(query) - at]
            await send({"type": "http.response.body", "body": body, "more_body": True})
        return await send({"type": "http.response.body"})
    if path == "/parts":
        return await parts(send, int(query))
    if path == "/long":
        return await parts(send, 20, float(query) / 20)
    if path == "/trailers":
        await begin(send, trailers=True)
        await send({"type": "http.response.body", "body": b"whole"})
        digest = hashlib.sha256(b"whole").hexdigest().encode()
        return await send({"type": "http.response.trailers", "headers": [(b"x-digest", digest)]})
    if path == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    if path == "/slow":
        await asyncio.sleep(float(query))
    if path == "/wait":  # until somebody else asks for /go
        global gate
        gate = asyncio.Event()
        await gate.wait()
    if path == "/go":
        gate.set()
    if path == "/facts":
        known = ("http_version", "scheme", "method", "path", "server", "client")
        facts = {key: scope[key] for key in known}
        facts["host"] = dict(scope["headers"])[b"host"].decode()
        facts["tls"] = scope["extensions"]["tls"]["tls_version"]
        return await answer(send, json.dumps(facts).encode())
    await answer(send, f"{VERSION} {os.getpid()} {scope['http_version']}".encode())
"""

CONFIG = """
app = "served:app"
interface = "asgi"
host = "127.0.0.1"
port = 0
http3 = true
workers = {workers}
{more}
[ssl]
certificate = "host.crt"
keyfile = "host.key"
{tables}
"""


class Site(Daemon):
    """A daemon that speaks HTTP/3.

    Args:
        directory: of the test's own.
        workers: their number.
        more: lines of the configuration.
        tables: and tables of it.
        source: what stands in for, or behind, the application.
        options: what a daemon takes.
    """

    def __init__(
        self,
        directory: Path,
        workers: int = 1,
        more: str = "",
        tables: str = "",
        source: str = "",
        **options,
    ) -> None:
        self.authority = Authority()
        issued = self.authority.issue("localhost", "site.test", "127.0.0.1")
        issued.write(directory, "host")
        self.wanted = workers
        (directory / "served.py").write_text(APPLICATION + source)
        config = CONFIG.format(workers=workers, more=more, tables=tables)
        super().__init__(directory, config, **options)

    def __enter__(self) -> Site:
        super().__enter__()
        self.wait_for_log("Started worker-", self.wanted)
        return self

    def dial3(self, **how):
        """A connection of HTTP/3 (`h3_client.connect`); what is left is the client's terms."""
        early = {name: how.pop(name) for name in ("early", "tickets", "tokens") if name in how}
        return connect(self.port, configuration(self.authority.pem, **how), **early)

    @property
    def trust(self) -> ssl.SSLContext:
        """What other clients need to believe it."""
        return context_for(self.authority)
