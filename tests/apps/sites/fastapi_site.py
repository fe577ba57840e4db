"""The contract of behaviours in FastAPI: dependencies, pydantic models, BaseHTTPMiddleware."""

from __future__ import annotations

import gc
import hashlib
import os
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    Form,
    Request,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import (
    FileResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from notebook import note, pass_gate, pass_gate_async, shared
from pydantic import BaseModel, Field
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect

HERE = os.path.dirname(__file__)
templates = Jinja2Templates(directory=os.path.join(HERE, "templates"))


@asynccontextmanager
async def lifespan(_app: FastAPI):
    note("startup")
    yield {"born": os.getpid()}
    note("shutdown")


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key="not a secret")
app.mount("/static", StaticFiles(directory=os.path.join(HERE, "static")))


@app.middleware("http")
async def add_site_field(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-site"] = "fastapi"
    return response


@app.get("/json")
async def show_json():
    return {"greeting": "grüß dich", "pid": os.getpid()}


@app.get("/page")
async def page(request: Request, name: str):
    return templates.TemplateResponse(request, "page.html", {"site": "fastapi", "name": name})


@app.get("/redirect")
async def redirect():
    return RedirectResponse("/page?name=friend", status_code=303)


@app.api_route("/echo/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def echo(request: Request, rest: str):
    return {"method": request.method, "path": rest, "query": request.query_params.multi_items()}


@app.post("/form")
def form(name: Annotated[str, Form()], city: Annotated[str, Form()]):
    # Not a coroutine: FastAPI runs it in a thread.
    return {"name": name, "city": city}


@app.post("/upload")
async def upload(file: Annotated[UploadFile, File()], note: Annotated[str, Form()]):
    data = await file.read()
    return {
        "filename": file.filename,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": note,
    }


@app.put("/sink")
async def sink(request: Request, token: str):
    digest, size = hashlib.sha256(), 0
    try:
        async for part in request.stream():
            if part and not size:
                note(f"sink began {token}")
            digest.update(part)
            size += len(part)
    except ClientDisconnect:
        note(f"sink broken {token}")
        raise
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/stream")
async def stream(count: int, size: int):
    def parts():  # not a coroutine: iterated over in threads
        for number in range(count):
            yield b"%c" % (97 + number % 26) * size

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/relay")
async def relay(gate: str):
    async def parts():
        yield b"before\n"
        await pass_gate_async(gate)
        yield b"after\n"

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/events")
async def events(gate: str):
    async def parts():
        await pass_gate_async(gate)
        yield b"data: now\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/collect")
async def collect():
    return {"found": gc.collect()}


@app.get("/endless")
async def endless(token: str):
    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/listen")
async def listen(request: Request, token: str):
    note(f"listen began {token}")
    message = await request.receive()
    while message["type"] != "http.disconnect":
        message = await request.receive()
    note(f"listen ended {token}")


@app.post("/background", status_code=202)
async def background(gate: str, tasks: BackgroundTasks):
    def after():  # in a thread
        pass_gate(gate)
        note(f"background done {gate}")

    tasks.add_task(after)
    return {"accepted": True}


@app.get("/state")
async def state(request: Request):
    return {"born": request.state.born, "pid": os.getpid()}


@app.get("/visits")
async def visits(request: Request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return {"visits": request.session["visits"]}


@app.get("/crash")
async def crash(token: str):
    raise RuntimeError(f"crash on purpose {token}")


@app.get("/crash-midway")
async def crash_midway(token: str):
    async def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {token}")

    return StreamingResponse(parts(), media_type="text/plain")


@app.api_route("/tagged", methods=["GET", "HEAD"])
async def tagged(request: Request):
    fields = {"etag": '"v1"'}
    if request.headers.get("if-none-match") == '"v1"':
        return Response(status_code=304, headers=fields)
    return Response(b"tagged content", media_type="text/plain", headers=fields)


@app.api_route("/file", methods=["GET", "HEAD"])
async def file(name: str):
    return FileResponse(shared(name))


@app.get("/where")
async def where(request: Request):
    return {
        "prefix": request.scope["root_path"],
        "url": request.url_for("where").path,
        "client": request.client.host if request.client else None,
        "scheme": request.url.scheme,
        "forwarded": request.headers.get("x-forwarded-for"),
        "host": request.headers["host"],
    }


# --- what only FastAPI has ---------------------------------------------------------------------


class Order(BaseModel):
    item: str
    count: int = Field(ge=1)


async def resource(token: str):
    note(f"resource opened {token}")
    yield "open"
    note(f"resource closed {token}")


@app.post("/orders/{number}")
async def order(number: int, order: Order, status: Annotated[str, Depends(resource)]):
    return {"number": number, "item": order.item, "count": order.count, "resource": status}


@app.websocket("/talk")
async def talk(websocket: WebSocket, token: str):
    subprotocol = "talk" if "talk" in websocket.scope["subprotocols"] else None
    await websocket.accept(subprotocol, headers=[(b"x-site", b"fastapi")])
    try:
        while True:
            message = await websocket.receive()
            websocket._raise_on_disconnect(message)
            if message.get("text") == "close":
                await websocket.close(4001, "genug, \u00fcbrigens")
            elif message.get("text") == "crash":
                raise RuntimeError(f"crash on purpose {token}")
            elif message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as end:
        note(f"talk ended {token} {end.code} {end.reason}".rstrip())


@app.websocket("/flood")
async def flood(websocket: WebSocket, token: str):
    await websocket.accept()
    try:
        while True:
            await websocket.send_bytes(b"x" * 10_000)
    except WebSocketDisconnect:
        note(f"flood ended {token}")


@app.websocket("/denied")
async def deny(websocket: WebSocket):
    await websocket.send_denial_response(PlainTextResponse("not you", 401))


@app.websocket("/described")
async def describe(websocket: WebSocket):
    await websocket.accept()
    url, client = websocket.url, websocket.client
    facts = {"scheme": url.scheme, "path": url.path, "host": websocket.headers["host"]}
    await websocket.send_json({**facts, "client": client.host if client else None})
