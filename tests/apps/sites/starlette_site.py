"""The contract of behaviours in Starlette: pure ASGI middleware, sessions, mounts."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager

from notebook import note, pass_gate_async, shared
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.websockets import WebSocketDisconnect

HERE = os.path.dirname(__file__)
templates = Jinja2Templates(directory=os.path.join(HERE, "templates"))


@asynccontextmanager
async def lifespan(_app):
    note("startup")
    yield {"born": os.getpid()}
    note("shutdown")


async def show_json(_request):
    return JSONResponse({"greeting": "grüß dich", "pid": os.getpid()})


async def page(request):
    name = request.query_params["name"]
    return templates.TemplateResponse(request, "page.html", {"site": "starlette", "name": name})


async def redirect(_request):
    return RedirectResponse("/page?name=friend", status_code=303)


async def echo(request):
    return JSONResponse(
        {
            "method": request.method,
            "path": request.path_params["rest"],
            "query": request.query_params.multi_items(),
        }
    )


async def form(request):
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request):
    async with request.form() as fields:
        file = fields["file"]
        data = await file.read()
        return JSONResponse(
            {
                "filename": file.filename,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "note": fields["note"],
            }
        )


async def sink(request):
    digest, size = hashlib.sha256(), 0
    try:
        async for part in request.stream():
            if part and not size:
                note(f"sink began {request.query_params['token']}")
            digest.update(part)
            size += len(part)
    except ClientDisconnect:
        note(f"sink broken {request.query_params['token']}")
        raise
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def stream(request):
    count, size = int(request.query_params["count"]), int(request.query_params["size"])

    async def parts():
        for number in range(count):
            yield b"%c" % (97 + number % 26) * size

    return StreamingResponse(parts(), media_type="text/plain")


async def relay(request):
    gate = request.query_params["gate"]

    async def parts():
        yield b"before\n"
        await pass_gate_async(gate)
        yield b"after\n"

    return StreamingResponse(parts(), media_type="text/plain")


async def events(request):
    gate = request.query_params["gate"]

    async def parts():
        await pass_gate_async(gate)
        yield b"data: now\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


async def endless(request):
    token = request.query_params["token"]

    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return StreamingResponse(parts(), media_type="text/plain")


async def listen(request):
    token = request.query_params["token"]
    note(f"listen began {token}")
    message = await request.receive()
    while message["type"] != "http.disconnect":
        message = await request.receive()
    note(f"listen ended {token}")
    return Response()


async def background(request):
    gate = request.query_params["gate"]

    async def after():
        await pass_gate_async(gate)
        note(f"background done {gate}")

    return JSONResponse({"accepted": True}, status_code=202, background=BackgroundTask(after))


async def state(request):
    return JSONResponse({"born": request.state.born, "pid": os.getpid()})


async def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse({"visits": request.session["visits"]})


async def crash(request):
    raise RuntimeError(f"crash on purpose {request.query_params['token']}")


async def crash_midway(request):
    token = request.query_params["token"]

    async def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {token}")

    return StreamingResponse(parts(), media_type="text/plain")


async def tagged(request):
    fields = {"etag": '"v1"'}
    if request.headers.get("if-none-match") == '"v1"':
        return Response(status_code=304, headers=fields)
    return Response(b"tagged content", media_type="text/plain", headers=fields)


async def file(request):
    return FileResponse(shared(request.query_params["name"]))


async def where(request):
    return JSONResponse(
        {
            "prefix": request.scope["root_path"],
            "url": request.url_for("where").path,
            "client": request.client.host if request.client else None,
            "scheme": request.url.scheme,
            "forwarded": request.headers.get("x-forwarded-for"),
            "host": request.headers["host"],
        }
    )


async def talk(websocket):
    token = websocket.query_params["token"]
    subprotocol = "talk" if "talk" in websocket.scope["subprotocols"] else None
    await websocket.accept(subprotocol, headers=[(b"x-site", b"starlette")])
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await websocket.close(4001, "genug, \u00fcbrigens")
        elif message.get("text") == "crash":
            raise RuntimeError(f"crash on purpose {token}")
        elif message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])
    note(f"talk ended {token} {message['code']} {message['reason']}".rstrip())


async def flood(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_bytes(b"x" * 10_000)
    except WebSocketDisconnect:
        note(f"flood ended {websocket.query_params['token']}")


async def deny(websocket):
    await websocket.send_denial_response(PlainTextResponse("not you", 401))


async def describe(websocket):
    await websocket.accept()
    url, client = websocket.url, websocket.client
    facts = {"scheme": url.scheme, "path": url.path, "host": websocket.headers["host"]}
    await websocket.send_json({**facts, "client": client.host if client else None})


class SiteField:
    """Pure ASGI middleware: adds a field to every response."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_field(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-site"] = "starlette"
            await send(message)

        await self.app(scope, receive, send_with_field)


app = Starlette(
    lifespan=lifespan,
    middleware=[
        Middleware(SiteField),
        Middleware(SessionMiddleware, secret_key="not a secret"),
    ],
    routes=[
        Route("/json", show_json),
        Route("/page", page),
        Route("/redirect", redirect),
        Route("/echo/{rest:path}", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/sink", sink, methods=["PUT"]),
        Route("/stream", stream),
        Route("/relay", relay),
        Route("/events", events),
        Route("/endless", endless),
        Route("/listen", listen),
        Route("/background", background, methods=["POST"]),
        Route("/state", state),
        Route("/visits", visits),
        Route("/crash", crash),
        Route("/crash-midway", crash_midway),
        Route("/tagged", tagged),
        Route("/file", file),
        Route("/where", where),
        WebSocketRoute("/talk", talk),
        WebSocketRoute("/flood", flood),
        WebSocketRoute("/denied", deny),
        WebSocketRoute("/described", describe),
        Mount("/static", StaticFiles(directory=os.path.join(HERE, "static"))),
    ],
)
