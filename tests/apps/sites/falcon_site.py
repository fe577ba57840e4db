"""The contract of behaviours in Falcon, as WSGI (`app`) and as ASGI (`asgi`): resources and hooks."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import os
from urllib.parse import parse_qsl

import falcon
import falcon.asgi
from falcon import WebSocketDisconnected
from notebook import note, pass_gate, pass_gate_async, shared

PLAIN = "text/plain"


class SiteField:
    """Middleware of both kinds: adds a field to every response."""

    def process_response(self, _req, resp, _resource, _req_succeeded):
        resp.set_header("x-site", "falcon")

    async def process_response_async(self, req, resp, resource, req_succeeded):
        self.process_response(req, resp, resource, req_succeeded)


WORK = []  # what has been scheduled: Falcon itself does not wait for it


class Life:
    """What happens once in each worker, under ASGI."""

    born = 0

    async def process_startup(self, _scope, _event):
        note("startup")
        Life.born = os.getpid()

    async def process_shutdown(self, _scope, _event):
        for done in WORK:
            await done.wait()
        note("shutdown")


class Waiting:
    """One part, and work to do once it has been sent."""

    def __init__(self, part, gate):
        self._parts = iter([part])
        self._gate = gate

    def __iter__(self):
        return self._parts

    def close(self):
        pass_gate(self._gate)
        note(f"background done {self._gate}")


def made(count, size):
    return [b"%c" % (97 + number % 26) * size for number in range(count)]


def as_seen(digest, size):
    return {"size": size, "sha256": digest.hexdigest()}


# --- both ----------------------------------------------------------------------------------------


def show_json(_req, resp):
    resp.media = {"greeting": "grüß dich", "pid": os.getpid()}


def redirect(_req, _resp):
    raise falcon.HTTPSeeOther("/page?name=friend")


def echo(req, resp, rest):
    query = parse_qsl(req.query_string, keep_blank_values=True)
    resp.media = {"method": req.method, "path": rest, "query": query}


def visits(req, resp):
    count = int(req.cookies.get("visits", 0)) + 1
    resp.set_cookie("visits", str(count), secure=False, http_only=False, path="/")
    resp.set_cookie("other", "1", secure=False, http_only=False, path="/")
    resp.media = {"visits": count}


def crash(req, _resp):
    raise RuntimeError(f"crash on purpose {req.params['token']}")


def tagged(req, resp):
    resp.etag = "v1"
    if req.if_none_match and "v1" in req.if_none_match:
        resp.status = falcon.HTTP_304
        return
    resp.content_type = PLAIN
    resp.data = b"tagged content"


def where(req, resp):
    resp.media = {
        "prefix": req.root_path,
        "url": req.root_path + "/where",
        "client": req.remote_addr,
        "scheme": req.scheme,
        "forwarded": req.get_header("x-forwarded-for"),
        "host": req.get_header("host"),
    }


# --- WSGI ----------------------------------------------------------------------------------------


def form(req, resp):
    resp.media = req.get_media()


def upload(req, resp):
    answer = {}
    for part in req.get_media():
        if part.name == "file":
            data = part.stream.read()
            answer |= {"filename": part.filename, **as_seen(hashlib.sha256(data), len(data))}
        else:
            answer[part.name] = part.text
    resp.media = answer


def sink(req, resp):
    digest, size = hashlib.sha256(), 0
    try:
        while part := req.stream.read(65536):
            if not size:
                note(f"sink began {req.params['token']}")
            digest.update(part)
            size += len(part)
    except OSError:
        note(f"sink broken {req.params['token']}")
        raise
    resp.media = as_seen(digest, size)


def stream(req, resp):
    resp.content_type = PLAIN
    resp.stream = iter(made(int(req.params["count"]), int(req.params["size"])))


def relay(req, resp):
    def parts():
        yield b"before\n"
        pass_gate(req.params["gate"])
        yield b"after\n"

    resp.content_type, resp.stream = PLAIN, parts()


def endless(req, resp):
    def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {req.params['token']}")

    resp.content_type, resp.stream = PLAIN, parts()


def background(req, resp):
    body = b'{"accepted": true}'
    resp.status, resp.content_length = falcon.HTTP_202, len(body)
    resp.stream = Waiting(body, req.params["gate"])


def crash_midway(req, resp):
    def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {req.params['token']}")

    resp.content_type, resp.stream = PLAIN, parts()


def file(req, resp):
    path = shared(req.params["name"])
    resp.content_type = "application/octet-stream"
    resp.set_stream(open(path, "rb"), os.path.getsize(path))  # noqa: SIM115 - Falcon closes it


# --- ASGI ----------------------------------------------------------------------------------------


async def form_async(req, resp):
    resp.media = await req.get_media()


async def upload_async(req, resp):
    answer = {}
    async for part in await req.get_media():
        if part.name == "file":
            data = await part.stream.read()
            answer |= {"filename": part.filename, **as_seen(hashlib.sha256(data), len(data))}
        else:
            answer[part.name] = await part.text
    resp.media = answer


async def sink_async(req, resp):
    digest, size = hashlib.sha256(), 0
    async for part in req.stream:
        if part and not size:
            note(f"sink began {req.params['token']}")
        digest.update(part)
        size += len(part)
    resp.media = as_seen(digest, size)


async def stream_async(req, resp):
    async def parts():
        for part in made(int(req.params["count"]), int(req.params["size"])):
            yield part

    resp.content_type, resp.stream = PLAIN, parts()


async def relay_async(req, resp):
    async def parts():
        yield b"before\n"
        await pass_gate_async(req.params["gate"])
        yield b"after\n"

    resp.content_type, resp.stream = PLAIN, parts()


async def events_async(req, resp):
    async def parts():
        await pass_gate_async(req.params["gate"])
        yield b"data: now\n\n"

    resp.content_type, resp.stream = "text/event-stream", parts()


async def endless_async(req, resp):
    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {req.params['token']}")

    resp.content_type, resp.stream = PLAIN, parts()


async def background_async(req, resp):
    gate, done = req.params["gate"], asyncio.Event()
    WORK.append(done)

    async def after():
        await pass_gate_async(gate)
        note(f"background done {gate}")
        done.set()

    resp.status, resp.media = falcon.HTTP_202, {"accepted": True}
    resp.schedule(after)


async def state_async(_req, resp):
    resp.media = {"born": Life.born, "pid": os.getpid()}


async def crash_midway_async(req, resp):
    async def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {req.params['token']}")

    resp.content_type, resp.stream = PLAIN, parts()


async def file_async(req, resp):
    path = shared(req.params["name"])
    resp.content_type = "application/octet-stream"

    async def parts():
        with open(path, "rb") as opened:
            while part := opened.read(65536):
                yield part

    resp.set_stream(parts(), os.path.getsize(path))


async def talk(req, websocket):
    token = req.params["token"]
    subprotocol = "talk" if "talk" in websocket.subprotocols else None
    await websocket.accept(subprotocol, {"x-site": "falcon"})
    try:
        while True:
            message = await websocket._receive()
            if message.get("text") == "close":
                await websocket.close(4001, "genug, \u00fcbrigens")
            elif message.get("text") == "crash":
                raise RuntimeError(f"crash on purpose {token}")
            elif message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_data(message["bytes"])
    except WebSocketDisconnected:
        note(f"talk ended {token}")


async def flood(req, websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_data(b"x" * 10_000)
    except WebSocketDisconnected:
        note(f"flood ended {req.params['token']}")


async def describe(req, websocket):
    await websocket.accept()
    facts = {"scheme": req.scheme, "path": req.path, "host": req.get_header("host")}
    client = req.scope["client"]
    await websocket.send_text(json.dumps({**facts, "client": client[0] if client else None}))


# --- routes --------------------------------------------------------------------------------------


def resource(handle, methods, *, asynchronous, session=None):
    """A resource with one responder for these methods, and one for WebSocket."""
    if handle is not None and asynchronous and not asyncio.iscoroutinefunction(handle):

        async def responder(_self, req, resp, **rest):
            handle(req, resp, **rest)

    else:

        def responder(_self, req, resp, **rest):
            return handle(req, resp, **rest)

        if asynchronous:

            async def responder(_self, req, resp, **rest):
                await handle(req, resp, **rest)

    names = {f"on_{method.lower()}": responder for method in methods}
    if session is not None:

        async def on_websocket(_self, req, websocket):
            await session(req, websocket)

        names = {"on_websocket": on_websocket}
    return type("Resource", (), names)()


GET = ("GET", "HEAD")
EVERY = ("GET", "POST", "PUT", "PATCH", "DELETE")
SHARED = {
    "/json": (show_json, GET),
    "/redirect": (redirect, GET),
    "/echo/{rest:path}": (echo, EVERY),
    "/visits": (visits, GET),
    "/crash": (crash, GET),
    "/tagged": (tagged, GET),
    "/where": (where, GET),
}
SYNCHRONOUS = {
    "/form": (form, ("POST",)),
    "/upload": (upload, ("POST",)),
    "/sink": (sink, ("PUT",)),
    "/stream": (stream, GET),
    "/relay": (relay, GET),
    "/endless": (endless, GET),
    "/background": (background, ("POST",)),
    "/crash-midway": (crash_midway, GET),
    "/file": (file, GET),
}
ASYNCHRONOUS = {
    "/form": (form_async, ("POST",)),
    "/upload": (upload_async, ("POST",)),
    "/sink": (sink_async, ("PUT",)),
    "/stream": (stream_async, GET),
    "/relay": (relay_async, GET),
    "/events": (events_async, GET),
    "/endless": (endless_async, GET),
    "/background": (background_async, ("POST",)),
    "/state": (state_async, GET),
    "/crash-midway": (crash_midway_async, GET),
    "/file": (file_async, GET),
}
SESSIONS = {"/talk": talk, "/flood": flood, "/described": describe}


def wsgi():
    note("startup")
    atexit.register(note, "shutdown")
    site = falcon.App(middleware=[SiteField()])
    for path, (handle, methods) in {**SHARED, **SYNCHRONOUS}.items():
        site.add_route(path, resource(handle, methods, asynchronous=False))
    return site


def asgi():
    site = falcon.asgi.App(middleware=[SiteField(), Life()])
    for path, (handle, methods) in {**SHARED, **ASYNCHRONOUS}.items():
        site.add_route(path, resource(handle, methods, asynchronous=True))
    for path, session in SESSIONS.items():
        site.add_route(path, resource(None, (), asynchronous=True, session=session))
    return site
