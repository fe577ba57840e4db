"""The contract of behaviours in Emmett, which speaks RSGI: pipes, its services, signals."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os

from emmett import App, Pipe, request, response, session, websocket
from emmett.extensions import Extension, Signals, listen_signal
from emmett.http import HTTPResponse, HTTPStringResponse
from emmett.sessions import SessionManager
from emmett.tools import service
from notebook import note, pass_gate_async, shared


class Life(Extension):
    """What happens once in each worker."""

    @listen_signal(Signals.after_loop)
    def begin(self, loop):
        note("startup")
        BORN["pid"] = os.getpid()


class SiteField(Pipe):
    """Adds a field to every response of a route."""

    async def open_request(self):
        response.headers["x-site"] = "emmett"


BORN = {}
TASKS = set()
app = App(__name__, root_path=os.environ["SITE_DIR"])  # where it makes directories of its own
app.use_extension(Life)
app.pipeline = [SiteField(), SessionManager.cookies("not a secret")]
METHODS = ("get", "post", "put", "patch", "delete")


@app.on_error(404)
async def missing():
    response.headers["x-site"] = "emmett"
    return "no such page"


@app.route("/json", methods="get")
@service.json
async def show_json():
    return {"greeting": "grüß dich", "pid": os.getpid()}


@app.route("/redirect", methods="get")
async def redirect():
    raise HTTPResponse(303, headers={**response.headers, "location": "/page?name=friend"})


@app.route("/echo/<any:rest>", methods=METHODS)
@service.json
async def echo(rest):
    query = []
    for name, value in request.query_params.items():
        query += [[name, each] for each in (value if isinstance(value, list) else [value])]
    return {"method": request.method, "path": rest, "query": query}


@app.route("/form", methods="post")
@service.json
async def form():
    return dict(await request.body_params)


@app.route("/upload", methods="post")
@service.json
async def upload():
    file = (await request.files).file
    data = file.read()
    return {
        "filename": file.filename,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": (await request.body_params).note,
    }


@app.route("/sink", methods="put")
@service.json
async def sink():
    digest, size = hashlib.sha256(), 0
    async for part in request.body:
        if part and not size:
            note(f"sink began {request.query_params.token}")
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


@app.route("/stream", methods="get")
async def stream():
    count, size = int(request.query_params.count), int(request.query_params.size)

    async def parts():
        for number in range(count):
            yield b"%c" % (97 + number % 26) * size

    return await response.stream(parts())


@app.route("/relay", methods="get")
async def relay():
    gate = request.query_params.gate

    async def parts():
        yield b"before\n"
        await pass_gate_async(gate)
        yield b"after\n"

    return await response.stream(parts())


@app.route("/events", methods="get")
async def events():
    gate = request.query_params.gate
    response.content_type = "text/event-stream"

    async def parts():
        await pass_gate_async(gate)
        yield b"data: now\n\n"

    return await response.stream(parts())


@app.route("/endless", methods="get")
async def endless():
    token = request.query_params.token

    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return await response.stream(parts())


@app.route("/background", methods="post")
@service.json
async def background():
    gate = request.query_params.gate

    async def after():
        await pass_gate_async(gate)
        note(f"background done {gate}")

    task = asyncio.create_task(after())
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
    response.status = 202
    return {"accepted": True}


@app.route("/state", methods="get")
@service.json
async def state():
    return {"born": BORN["pid"], "pid": os.getpid()}


@app.route("/visits", methods="get")
@service.json
async def visits():
    session.visits = (session.visits or 0) + 1
    return {"visits": session.visits}


@app.route("/crash", methods="get")
async def crash():
    raise RuntimeError(f"crash on purpose {request.query_params.token}")


@app.route("/tagged", methods=("get", "head"))
async def tagged():
    response.headers["etag"] = '"v1"'
    if request.headers.get("if-none-match") == '"v1"':
        raise HTTPResponse(304, headers=response.headers)
    raise HTTPStringResponse(
        200, "tagged content", headers={**response.headers, "content-length": "14"}
    )


@app.route("/file", methods=("get", "head"))
async def file():
    return response.wrap_file(shared(request.query_params.name))


@app.route("/where", methods="get")
@service.json
async def where():
    return {
        "prefix": "",  # RSGI has none
        "url": request.path,
        "client": request.client,
        "scheme": request.scheme,
        "forwarded": request.headers.get("x-forwarded-for"),
        "host": request.host,
    }


# --- WebSocket -----------------------------------------------------------------------------------


@app.websocket("/talk")
async def talk():
    token = websocket.query_params.token
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message == "close":
                return
            if message == "crash":
                raise RuntimeError(f"crash on purpose {token}")
            await websocket.send(message)
    except asyncio.CancelledError:  # its way to say that the peer has gone
        note(f"talk ended {token}")
        raise


@app.websocket("/described")
async def describe():
    await websocket.accept()
    facts = {"scheme": websocket.scheme, "path": websocket.path, "host": websocket.host}
    await websocket.send(json.dumps({**facts, "client": websocket.client}))


@app.websocket("/flood")
async def flood():
    await websocket.accept()
    try:
        while True:
            await websocket.send(b"x" * 10_000)
    finally:
        note(f"flood ended {websocket.query_params.token}")
