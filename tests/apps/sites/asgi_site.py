"""The contract of behaviours in plain ASGI: what a framework would do is done by hand."""

from __future__ import annotations

import hashlib
import json
import os
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl

from notebook import note, pass_gate_async, shared

ROUTES = {}


def route(path):
    def register(handle):
        ROUTES[path] = handle
        return handle

    return register


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    path, prefix = scope["path"], scope["root_path"]
    if path.startswith(prefix + "/"):
        path = path.removeprefix(prefix)
    name = path.split("/")[1]
    if scope["type"] == "websocket":
        await SESSIONS.get(name, refuse)(scope, receive, send)
        return
    assert scope["type"] == "http"
    handle = ROUTES.get(name, missing)
    await handle(Call(scope, receive, send, path))


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            note("startup")
            scope["state"]["born"] = os.getpid()
            await send({"type": "lifespan.startup.complete"})
        else:
            note("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return


class Call:
    """One request, with the few conveniences that the endpoints share."""

    def __init__(self, scope, receive, send, path):
        self.scope = scope
        self.receive = receive
        self._send = send
        self.path = path
        self.query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        self.fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}

    def argument(self, name):
        return dict(self.query)[name]

    async def parts(self):
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                return

    async def body(self):
        return b"".join([part async for part in self.parts()])

    async def start(self, status=200, kind="text/plain", fields=()):
        pairs = [(b"content-type", kind.encode()), (b"x-site", b"asgi")]
        pairs += [(name.encode(), value.encode()) for name, value in fields]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, body, more=False):
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def send_path(self, path):
        await self._send({"type": "http.response.pathsend", "path": path})

    async def answer(self, body=b"", status=200, kind="text/plain", fields=()):
        length = [] if status == 304 else [("content-length", str(len(body)))]
        await self.start(status, kind, [*fields, *length])
        await self.send(body)

    async def answer_json(self, value, status=200, fields=()):
        await self.answer(json.dumps(value).encode(), status, "application/json", fields)


async def missing(call):
    await call.answer(b"no such page", 404)


@route("json")
async def show_json(call):
    await call.answer_json({"greeting": "grüß dich", "pid": os.getpid()})


@route("redirect")
async def redirect(call):
    await call.answer(b"", 303, fields=[("location", "/page?name=friend")])


@route("echo")
async def echo(call):
    rest = call.path.removeprefix("/echo/")
    await call.answer_json({"method": call.scope["method"], "path": rest, "query": call.query})


@route("form")
async def form(call):
    await call.answer_json(dict(parse_qsl((await call.body()).decode())))


@route("sink")
async def sink(call):
    digest, size = hashlib.sha256(), 0
    try:
        async for part in call.parts():
            if not size:
                note(f"sink began {call.argument('token')}")
            digest.update(part)
            size += len(part)
    except ConnectionResetError:
        note(f"sink broken {call.argument('token')}")
        return
    await call.answer_json({"size": size, "sha256": digest.hexdigest()})


@route("stream")
async def stream(call):
    count, size = int(call.argument("count")), int(call.argument("size"))
    await call.start()
    for number in range(count):
        await call.send(b"%c" % (97 + number % 26) * size, more=True)
    await call.send(b"")


@route("relay")
async def relay(call):
    await call.start()
    await call.send(b"before\n", more=True)
    await pass_gate_async(call.argument("gate"))
    await call.send(b"after\n")


@route("events")
async def events(call):
    await call.start(kind="text/event-stream")
    await pass_gate_async(call.argument("gate"))
    await call.send(b"data: now\n\n")


@route("endless")
async def endless(call):
    await call.start()
    try:
        while True:
            await call.send(b"x" * 10_000, more=True)
    finally:
        note(f"endless ended {call.argument('token')}")


@route("listen")
async def listen(call):
    token = call.argument("token")
    note(f"listen began {token}")
    while (await call.receive())["type"] != "http.disconnect":
        pass
    note(f"listen ended {token}")


@route("background")
async def background(call):
    gate = call.argument("gate")
    await call.answer_json({"accepted": True}, 202)
    await pass_gate_async(gate)
    note(f"background done {gate}")


@route("state")
async def state(call):
    await call.answer_json({"born": call.scope["state"]["born"], "pid": os.getpid()})


@route("visits")
async def visits(call):
    cookie = SimpleCookie(call.fields.get("cookie", ""))
    count = int(cookie["visits"].value) + 1 if "visits" in cookie else 1
    fields = [("set-cookie", f"visits={count}; Path=/"), ("set-cookie", "other=1; Path=/")]
    await call.answer_json({"visits": count}, fields=fields)


@route("crash")
async def crash(call):
    raise RuntimeError(f"crash on purpose {call.argument('token')}")


@route("crash-midway")
async def crash_midway(call):
    await call.start()
    await call.send(b"some of it", more=True)
    raise RuntimeError(f"crash on purpose {call.argument('token')}")


@route("tagged")
async def tagged(call):
    fields = [("etag", '"v1"')]
    if call.fields.get("if-none-match") == '"v1"':
        await call.answer(status=304, fields=fields)
    else:
        await call.answer(b"tagged content", fields=fields)


@route("file")
async def file(call):
    path = shared(call.argument("name"))
    length = str(os.path.getsize(path))
    await call.start(kind="application/octet-stream", fields=[("content-length", length)])
    await call.send_path(path)


@route("where")
async def where(call):
    scope = call.scope
    await call.answer_json(
        {
            "prefix": scope["root_path"],
            "url": scope["root_path"] + "/where",
            "client": scope["client"][0] if scope["client"] else None,
            "scheme": scope["scheme"],
            "forwarded": call.fields.get("x-forwarded-for"),
            "host": call.fields["host"],
        }
    )


# --- WebSocket -----------------------------------------------------------------------------------


async def refuse(_scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def deny(_scope, receive, send):
    await receive()
    headers = [(b"x-site", b"asgi"), (b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"you"})


async def accept(scope, receive, send):
    await receive()
    subprotocol = "talk" if "talk" in scope["subprotocols"] else None
    headers = [(b"x-site", b"asgi")]
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})


async def talk(scope, receive, send):
    token = scope["query_string"].decode().removeprefix("token=")
    await accept(scope, receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "genug, \u00fcbrigens"})
        elif message.get("text") == "crash":
            raise RuntimeError(f"crash on purpose {token}")
        elif message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
    note(f"talk ended {token} {message['code']} {message['reason']}".rstrip())


async def flood(scope, receive, send):
    token = scope["query_string"].decode().removeprefix("token=")
    await accept(scope, receive, send)
    try:
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 10_000})
    except OSError:
        note(f"flood ended {token}")


async def describe(scope, receive, send):
    await accept(scope, receive, send)
    host = dict(scope["headers"])[b"host"].decode()
    client = scope["client"][0] if scope["client"] else None
    facts = {"scheme": scope["scheme"], "path": scope["path"], "host": host, "client": client}
    await send({"type": "websocket.send", "text": json.dumps(facts)})


SESSIONS = {"talk": talk, "flood": flood, "denied": deny, "described": describe}
