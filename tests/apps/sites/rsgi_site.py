"""The contract of behaviours in RSGI, by an application that was written for Granian."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl

from granian.rsgi import (
    HTTPProtocol,
    ProtocolClosed,
    Scope,
    WebsocketMessageType,
    WebsocketProtocol,
)
from notebook import note, pass_gate_async, shared

ROUTES = {}


def route(path):
    def register(handle):
        ROUTES[path] = handle
        return handle

    return register


class Site:
    def __init__(self):
        self.born = 0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(asyncio.sleep(0))
        self.born = os.getpid()
        note("startup")

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(asyncio.sleep(0))
        note("shutdown")

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol | WebsocketProtocol) -> None:
        name = scope.path.split("/")[1]
        if scope.proto == "ws":
            await SESSIONS.get(name, refuse)(scope, protocol)
            return
        assert scope.proto == "http"
        await ROUTES.get(name, missing)(Call(scope, protocol))


class Call:
    """One request, with the few conveniences that the endpoints share."""

    def __init__(self, scope, protocol):
        self.scope = scope
        self.protocol = protocol
        self.query = parse_qsl(scope.query_string, keep_blank_values=True)

    def argument(self, name):
        return dict(self.query)[name]

    def fields(self, kind="text/plain", more=()):
        return [("content-type", kind), ("x-site", "rsgi"), *more]

    def answer(self, body=b"", status=200, more=()):
        self.protocol.response_bytes(status, self.fields(more=more), body)

    def answer_json(self, value, status=200, more=()):
        fields = self.fields("application/json", more)
        self.protocol.response_str(status, fields, json.dumps(value))

    def stream(self, kind="text/plain"):
        return self.protocol.response_stream(200, self.fields(kind))


async def missing(call):
    call.answer(b"no such page", 404)


@route("json")
async def show_json(call):
    call.answer_json({"greeting": "grüß dich", "pid": os.getpid()})


@route("redirect")
async def redirect(call):
    call.protocol.response_empty(303, call.fields(more=[("location", "/page?name=friend")]))


@route("echo")
async def echo(call):
    rest = call.scope.path.removeprefix("/echo/")
    call.answer_json({"method": call.scope.method, "path": rest, "query": call.query})


@route("form")
async def form(call):
    body = await call.protocol()
    call.answer_json(dict(parse_qsl(body.decode())))


@route("sink")
async def sink(call):
    digest, size = hashlib.sha256(), 0
    async for part in call.protocol:
        if part and not size:
            note(f"sink began {call.argument('token')}")
        digest.update(part)
        size += len(part)
    call.answer_json({"size": size, "sha256": digest.hexdigest()})


@route("stream")
async def stream(call):
    transport = call.stream()
    for number in range(int(call.argument("count"))):
        await transport.send_bytes(b"%c" % (97 + number % 26) * int(call.argument("size")))


@route("relay")
async def relay(call):
    transport = call.stream()
    await transport.send_str("before\n")
    await pass_gate_async(call.argument("gate"))
    await transport.send_str("after\n")


@route("events")
async def events(call):
    transport = call.stream("text/event-stream")
    await pass_gate_async(call.argument("gate"))
    await transport.send_str("data: now\n\n")


@route("endless")
async def endless(call):
    transport = call.stream()
    try:
        while True:
            await transport.send_bytes(b"x" * 10_000)
    except ProtocolClosed:
        note(f"endless ended {call.argument('token')}")


@route("listen")
async def listen(call):
    token = call.argument("token")
    note(f"listen began {token}")
    await call.protocol.client_disconnect()
    note(f"listen ended {token}")


@route("background")
async def background(call):
    gate = call.argument("gate")
    call.answer_json({"accepted": True}, 202)
    await pass_gate_async(gate)
    note(f"background done {gate}")


@route("state")
async def state(call):
    call.answer_json({"born": app.born, "pid": os.getpid()})


@route("visits")
async def visits(call):
    cookie = SimpleCookie(call.scope.headers.get("cookie", ""))
    count = int(cookie["visits"].value) + 1 if "visits" in cookie else 1
    fields = [("set-cookie", f"visits={count}; Path=/"), ("set-cookie", "other=1; Path=/")]
    call.answer_json({"visits": count}, more=fields)


@route("crash")
async def crash(call):
    raise RuntimeError(f"crash on purpose {call.argument('token')}")


@route("crash-midway")
async def crash_midway(call):
    transport = call.stream()
    await transport.send_str("some of it")
    raise RuntimeError(f"crash on purpose {call.argument('token')}")


@route("tagged")
async def tagged(call):
    fields = [("etag", '"v1"')]
    if call.scope.headers.get("if-none-match") == '"v1"':
        call.protocol.response_empty(304, call.fields(more=fields))
    else:
        call.answer(b"tagged content", more=fields)


@route("file")
async def file(call):
    path = shared(call.argument("name"))
    unit, _, wanted = call.scope.headers.get("range", "").partition("=")
    if unit != "bytes":
        call.protocol.response_file(200, call.fields("application/octet-stream"), path)
        return
    first, last = (int(number) for number in wanted.split("-"))
    fields = [("content-range", f"bytes {first}-{last}/{os.path.getsize(path)}")]
    call.protocol.response_file_range(206, call.fields(more=fields), path, first, last + 1)


@route("origin")
async def origin(call):
    call.answer_json({"protocol": HTTPProtocol.__module__, "given": type(call.protocol).__module__})


@route("where")
async def where(call):
    scope = call.scope
    call.answer_json(
        {
            "prefix": "",  # RSGI has none
            "url": scope.path,
            "client": scope.client.rsplit(":", 1)[0] or None,
            "scheme": scope.scheme,
            "forwarded": scope.headers.get("x-forwarded-for"),
            "host": scope.headers["host"],
        }
    )


# --- WebSocket -----------------------------------------------------------------------------------


async def refuse(_scope, protocol):
    protocol.close()


async def deny(_scope, protocol):
    protocol.close(401)


async def talk(scope, protocol):
    token = scope.query_string.removeprefix("token=")
    transport = await protocol.accept()
    try:
        while (message := await transport.receive()).kind != WebsocketMessageType.close:
            if message.kind == WebsocketMessageType.bytes:
                await transport.send_bytes(message.data)
            elif message.data == "close":
                protocol.close()
            elif message.data == "crash":
                raise RuntimeError(f"crash on purpose {token}")
            else:
                await transport.send_str(message.data)
    except ProtocolClosed:
        note(f"talk lost {token}")
    else:
        note(f"talk ended {token}")


async def flood(scope, protocol):
    transport = await protocol.accept()
    try:
        while True:
            await transport.send_bytes(b"x" * 10_000)
    except ProtocolClosed:
        note(f"flood ended {scope.query_string.removeprefix('token=')}")


async def describe(scope, protocol):
    transport = await protocol.accept()
    client = scope.client.rpartition(":")[0] or None
    facts = {"scheme": scope.scheme, "path": scope.path, "host": scope.headers["host"]}
    await transport.send_str(json.dumps({**facts, "client": client}))


SESSIONS = {"talk": talk, "flood": flood, "denied": deny, "described": describe}

app = Site()
