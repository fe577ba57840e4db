"""The contract of behaviours in Litestar: annotated handlers, its responses, middleware and hooks."""

# No `from __future__ import annotations`: here annotations are data, Litestar evaluates them.

import hashlib
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from litestar import HttpMethod, Litestar, Request, WebSocket, get, post, put, route, websocket
from litestar.background_tasks import BackgroundTask
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.datastructures import MutableScopeHeaders, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import InternalServerException, WebSocketDisconnect
from litestar.logging import LoggingConfig
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import Body
from litestar.response import File, Redirect, Response, Stream, Template
from litestar.template.config import TemplateConfig
from notebook import note, pass_gate_async, shared

HERE = Path(__file__).parent
PLAIN = "text/plain"


@asynccontextmanager
async def lifespan(app: Litestar):
    note("startup")
    app.state.born = os.getpid()
    yield
    note("shutdown")


@get("/json")
async def show_json() -> dict[str, Any]:
    return {"greeting": "grüß dich", "pid": os.getpid()}


@get("/page")
async def page(name: str) -> Template:
    return Template("page.html", context={"site": "litestar", "name": name})


@get("/redirect", status_code=303)
async def redirect() -> Redirect:
    return Redirect("/page?name=friend", status_code=303)


METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]


@route("/echo/{rest:path}", http_method=METHODS, status_code=200)
async def echo(request: Request, rest: str) -> dict[str, Any]:
    query = [list(pair) for pair in request.query_params.multi_items()]
    return {"method": request.method, "path": rest.removeprefix("/"), "query": query}


@post("/form", status_code=200)
async def form(request: Request) -> dict[str, str]:
    return dict(await request.form())


@post("/upload", status_code=200)
async def upload(
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    file: UploadFile = data["file"]
    content = await file.read()
    return {
        "filename": file.filename,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "note": data["note"],
    }


@put("/sink")
async def sink(request: Request, token: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    try:
        async for part in request.stream():
            if part and not size:
                note(f"sink began {token}")
            digest.update(part)
            size += len(part)
    except InternalServerException:  # its word for a client that has gone
        note(f"sink broken {token}")
        raise
    return {"size": size, "sha256": digest.hexdigest()}


@get("/stream")
async def stream(count: int, size: int) -> Stream:
    async def parts():
        for number in range(count):
            yield b"%c" % (97 + number % 26) * size

    return Stream(parts(), media_type=PLAIN)


@get("/relay")
async def relay(gate: str) -> Stream:
    async def parts():
        yield b"before\n"
        await pass_gate_async(gate)
        yield b"after\n"

    return Stream(parts(), media_type=PLAIN)


@get("/events")
async def events(gate: str) -> Stream:
    async def parts():
        await pass_gate_async(gate)
        yield b"data: now\n\n"

    return Stream(parts(), media_type="text/event-stream")


@get("/endless")
async def endless(token: str) -> Stream:
    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return Stream(parts(), media_type=PLAIN)


@get("/listen")
async def listen(request: Request, token: str) -> None:
    note(f"listen began {token}")
    while (await request.receive())["type"] != "http.disconnect":
        pass
    note(f"listen ended {token}")


@post("/background", status_code=202)
async def background(gate: str) -> Response[dict[str, bool]]:
    async def after():
        await pass_gate_async(gate)
        note(f"background done {gate}")

    return Response({"accepted": True}, background=BackgroundTask(after))


@get("/state")
async def state(request: Request) -> dict[str, int]:
    return {"born": request.app.state.born, "pid": os.getpid()}


@get("/visits")
async def visits(request: Request) -> dict[str, int]:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return {"visits": request.session["visits"]}


@get("/crash")
async def crash(token: str) -> None:
    raise RuntimeError(f"crash on purpose {token}")


@get("/crash-midway")
async def crash_midway(token: str) -> Stream:
    async def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {token}")

    return Stream(parts(), media_type=PLAIN)


@route("/tagged", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def tagged(request: Request) -> Response[bytes]:
    fields = {"etag": '"v1"'}
    if request.headers.get("if-none-match") == '"v1"':
        return Response(b"", status_code=304, headers=fields)
    return Response(b"tagged content", media_type=PLAIN, headers=fields)


@route("/file", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def file(name: str) -> File:
    return File(shared(name))


@get("/where", name="where")
async def where(request: Request) -> dict[str, Any]:
    return {
        "prefix": request.scope["root_path"],
        "url": request.app.route_reverse("where"),
        "client": request.client.host if request.client else None,
        "scheme": request.scope["scheme"],
        "forwarded": request.headers.get("x-forwarded-for"),
        "host": request.headers["host"],
    }


# --- WebSocket -----------------------------------------------------------------------------------


@websocket("/talk")
async def talk(socket: WebSocket, token: str) -> None:
    subprotocol = "talk" if "talk" in socket.scope["subprotocols"] else None
    await socket.accept(subprotocols=subprotocol)
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await socket.close(4001, "genug, \u00fcbrigens")
        elif message.get("text") == "crash":
            raise RuntimeError(f"crash on purpose {token}")
        elif message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])
    note(f"talk ended {token} {message['code']} {message['reason']}".rstrip())


@websocket("/flood")
async def flood(socket: WebSocket, token: str) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_bytes(b"x" * 10_000)
    except (WebSocketDisconnect, OSError):
        note(f"flood ended {token}")


@websocket("/described")
async def describe(socket: WebSocket) -> None:
    await socket.accept()
    client = socket.client
    facts = {"scheme": socket.scope["scheme"], "path": socket.scope["path"]}
    facts |= {"host": socket.headers["host"], "client": client.host if client else None}
    await socket.send_json(facts)


def site_field(app):
    """Pure ASGI middleware: adds a field to every response."""

    async def call(scope, receive, send):
        async def send_with_field(message):
            if message["type"] in ("http.response.start", "websocket.accept"):
                message.setdefault("headers", [])
                MutableScopeHeaders.from_message(message)["x-site"] = "litestar"
            await send(message)

        await app(scope, receive, send_with_field)

    return call


routes = [show_json, page, redirect, echo, form, upload, sink, stream, relay, events, endless]
routes += [listen, background, state, visits, crash, crash_midway, tagged, file, where]
app = site_field(
    Litestar(
        [
            *routes,
            talk,
            flood,
            describe,
        ],
        lifespan=[lifespan],
        middleware=[CookieBackendConfig(secret=b"not a secret 16b").middleware],
        template_config=TemplateConfig(directory=HERE / "templates", engine=JinjaTemplateEngine),
        logging_config=LoggingConfig(log_exceptions="always"),
        openapi_config=None,
    )
)
