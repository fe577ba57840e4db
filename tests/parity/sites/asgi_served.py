"""An ASGI application that does at each path what the path says."""

import asyncio
import json
import os
import tempfile

CONTENT = bytes(range(256)) * 4096  # 1 MiB: more than the kernel takes at once


async def lifespan(scope, receive, send):
    state = scope["state"]
    state["leaving"] = asyncio.Event()
    with tempfile.NamedTemporaryFile() as state["file"]:
        state["file"].write(CONTENT)
        state["file"].flush()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        state["leaving"].set()
        await send({"type": "lifespan.shutdown.complete"})


def start(status=200, headers=(), **keys):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **keys}


def body(content=b"", more=False):
    return {"type": "http.response.body", "body": content, "more_body": more}


async def scope_(scope, send):
    shown = {key: scope[key] for key in ("http_version", "client", "server", "scheme", "asgi")}
    shown["extensions"] = sorted(scope["extensions"])
    shown["pid"] = os.getpid()
    await send(start())
    await send(body(json.dumps(shown).encode()))


async def headless(scope, send):
    await send({"type": "http.response.start", "status": 200})
    await send(body(b"fine"))


async def status(scope, send):
    await send(start(int(scope["query_string"])))
    await send(body())


async def hints(scope, send):
    await send(start())
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await send(body(b"fine"))


async def trailers(scope, send):
    await send(start(200, [(b"trailer", b"x-sum")], trailers=True))
    await send(body(b"fine"))
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})


async def zerocopy(scope, send):
    file = scope["state"]["file"]
    copy = {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 0}
    await send(start())
    await send(body(b"<", more=True))
    await send({**copy, "count": 10, "more_body": True})
    await send(body(b">", more=True))
    await send(copy)


async def whole(scope, send):
    """With its length, so that the kernel may do it."""
    file = scope["state"]["file"]
    await send(start(200, [(b"content-length", b"%d" % len(CONTENT))]))
    await send({"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 0})


async def pathsend(scope, send):
    await send(start())
    await send({"type": "http.response.pathsend", "path": scope["state"]["file"].name})


async def stream(scope, send):
    """Ends when the worker is told to leave, and not before."""
    await send(start(200, [(b"content-type", b"text/event-stream")]))
    await scope["state"]["leaving"].wait()
    await send(body(b"data: bye\n\n"))


PATHS = {
    "/scope": scope_,
    "/headless": headless,
    "/status": status,
    "/hints": hints,
    "/trailers": trailers,
    "/zerocopy": zerocopy,
    "/whole": whole,
    "/pathsend": pathsend,
    "/stream": stream,
}


async def session(scope, receive, send):
    await receive()
    if scope["path"] == "/denied":
        head = {"type": "websocket.http.response.start", "status": 418}
        await send({**head, "headers": [(b"x-why", b"tea")]})
        part = {"type": "websocket.http.response.body"}
        await send({**part, "body": b"short ", "more_body": True})
        await send({**part, "body": b"and stout"})
        return
    await send({"type": "websocket.accept", "headers": [(b"x-room", b"7")], "subprotocol": "chat"})
    await send({"type": "websocket.send", "text": json.dumps(scope["subprotocols"])})
    message = await receive()
    if message["type"] == "websocket.disconnect":
        with open("disconnected", "w") as note:
            json.dump([message["code"], message["reason"]], note)
        return
    await send({"type": "websocket.close", "code": 4001, "reason": "enough"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await session(scope, receive, send)
    else:
        await PATHS[scope["path"]](scope, send)
