"""The contract of behaviours in BlackSheep: binders, its content types, events of the application."""

# No `from __future__ import annotations`: here annotations are data, BlackSheep evaluates them.

import asyncio
import hashlib
import os
from urllib.parse import parse_qsl

from blacksheep import (
    Application,
    Content,
    FromQuery,
    Request,
    Response,
    StreamedContent,
    WebSocket,
    WebSocketDisconnectError,
    json,
)
from blacksheep.cookies import Cookie
from blacksheep.exceptions import MessageAborted
from blacksheep.server.responses import see_other
from notebook import note, pass_gate_async, shared

app = Application()
BORN = {}
TASKS = set()  # of an event loop, which keeps weak references only


@app.on_start
async def start(_app):
    note("startup")
    BORN["pid"] = os.getpid()


@app.on_stop
async def stop(_app):
    await asyncio.gather(*TASKS)
    note("shutdown")


async def site_field(request, handler):
    response = await handler(request)
    response.add_header(b"x-site", b"blacksheep")
    return response


app.middlewares.append(site_field)


def plain(parts, kind=b"text/plain"):
    return Response(200, content=StreamedContent(kind, parts))


@app.router.get("/json")
async def show_json():
    return json({"greeting": "grüß dich", "pid": os.getpid()})


@app.router.get("/redirect")
async def redirect():
    return see_other("/page?name=friend")


async def echo(request: Request):
    raw = (request.url.query or b"").decode()  # its own `query` drops what is empty
    query = parse_qsl(raw, keep_blank_values=True)
    rest = request.route_values["tail"]
    return json({"method": request.method, "path": rest, "query": query})


for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    app.router.add(method, "/echo/*", echo)


@app.router.post("/form")
async def form(request: Request):
    return json(await request.form())


@app.router.post("/upload")
async def upload(request: Request):
    fields = await request.form()
    (file,) = fields["file"]
    data = file.data if isinstance(file.data, bytes) else await file.read()
    name = file.file_name
    return json(
        {
            "filename": name.decode() if isinstance(name, bytes) else name,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "note": fields["note"],
        }
    )


@app.router.put("/sink")
async def sink(request: Request, token: FromQuery[str]):
    digest, size = hashlib.sha256(), 0
    try:
        async for part in request.stream():
            if part and not size:
                note(f"sink began {token.value}")
            digest.update(part)
            size += len(part)
    except MessageAborted:
        note(f"sink broken {token.value}")
        raise
    return json({"size": size, "sha256": digest.hexdigest()})


@app.router.get("/stream")
async def stream(count: FromQuery[int], size: FromQuery[int]):
    async def parts():
        for number in range(count.value):
            yield b"%c" % (97 + number % 26) * size.value

    return plain(parts)


@app.router.get("/relay")
async def relay(gate: FromQuery[str]):
    async def parts():
        yield b"before\n"
        await pass_gate_async(gate.value)
        yield b"after\n"

    return plain(parts)


@app.router.get("/events")
async def events(gate: FromQuery[str]):
    async def parts():
        await pass_gate_async(gate.value)
        yield b"data: now\n\n"

    return plain(parts, b"text/event-stream")


@app.router.get("/endless")
async def endless(token: FromQuery[str]):
    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token.value}")

    return plain(parts)


@app.router.get("/listen")
async def listen(request: Request, token: FromQuery[str]):
    note(f"listen began {token.value}")
    while not await request.is_disconnected():
        await asyncio.sleep(0.005)
    note(f"listen ended {token.value}")


@app.router.post("/background")
async def background(gate: FromQuery[str]):
    async def after():
        await pass_gate_async(gate.value)
        note(f"background done {gate.value}")

    task = asyncio.create_task(after())
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
    return json({"accepted": True}, 202)


@app.router.get("/state")
async def state():
    return json({"born": BORN["pid"], "pid": os.getpid()})


@app.router.get("/visits")
async def visits(request: Request):
    count = int(request.cookies.get("visits", 0)) + 1
    response = json({"visits": count})
    response.set_cookie(Cookie("visits", str(count), path="/"))
    response.set_cookie(Cookie("other", "1", path="/"))
    return response


@app.router.get("/crash")
async def crash(token: FromQuery[str]):
    raise RuntimeError(f"crash on purpose {token.value}")


@app.router.get("/crash-midway")
async def crash_midway(token: FromQuery[str]):
    async def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {token.value}")

    return plain(parts)


async def tagged(request: Request):
    fields = [(b"etag", b'"v1"')]
    if request.get_first_header(b"if-none-match") == b'"v1"':
        return Response(304, fields)
    return Response(200, fields, Content(b"text/plain", b"tagged content"))


async def file(name: FromQuery[str]):
    path = shared(name.value)

    async def parts():
        with open(path, "rb") as opened:
            while part := opened.read(65536):
                yield part

    size = os.path.getsize(path)
    kind = b"application/octet-stream"
    return Response(200, content=StreamedContent(kind, parts, size) if size else Content(kind, b""))


for method in ("GET", "HEAD"):
    app.router.add(method, "/tagged", tagged)
    app.router.add(method, "/file", file)


@app.router.get("/where")
async def where(request: Request):
    client = request.scope["client"]
    return json(
        {
            "prefix": request.scope["root_path"],
            "url": request.scope["root_path"] + "/where",
            "client": client[0] if client else None,
            "scheme": request.scheme,
            "forwarded": (request.get_first_header(b"x-forwarded-for") or b"").decode() or None,
            "host": request.host,
        }
    )


async def missing():
    return Response(404, content=Content(b"text/plain", b"no such page"))


app.router.fallback = missing

# --- WebSocket -----------------------------------------------------------------------------------


@app.router.ws("/talk")
async def talk(websocket: WebSocket, token: FromQuery[str]):
    subprotocol = "talk" if "talk" in websocket.scope["subprotocols"] else None
    await websocket.accept([(b"x-site", b"blacksheep")], subprotocol)
    try:
        while True:
            message = await websocket.receive()
            if message.get("text") == "close":
                await websocket.close(4001, "genug, \u00fcbrigens")
            elif message.get("text") == "crash":
                raise RuntimeError(f"crash on purpose {token.value}")
            elif message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnectError:
        note(f"talk ended {token.value}")


@app.router.ws("/flood")
async def flood(websocket: WebSocket, token: FromQuery[str]):
    await websocket.accept()
    try:
        while True:
            await websocket.send_bytes(b"x" * 10_000)
    except (WebSocketDisconnectError, OSError):
        note(f"flood ended {token.value}")


@app.router.ws("/described")
async def describe(websocket: WebSocket):
    await websocket.accept()
    client = websocket.scope["client"]
    facts = {"scheme": websocket.scheme, "path": websocket.scope["path"]}
    facts |= {"host": websocket.host, "client": client[0] if client else None}
    await websocket.send_json(facts)
