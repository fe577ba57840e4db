"""The contract of behaviours in Quart: the shapes of Flask, in coroutines."""

from __future__ import annotations

import asyncio
import hashlib
import os

from notebook import note, pass_gate_async, shared
from quart import Quart, redirect, render_template, request, send_file, session, url_for, websocket

app = Quart(__name__)
app.secret_key = "not a secret"


@app.before_serving
async def startup():
    note("startup")
    app.config["BORN"] = os.getpid()


@app.after_serving
async def shutdown():
    note("shutdown")


@app.after_request
async def add_site_field(response):
    response.headers["x-site"] = "quart"
    return response


@app.get("/json")
async def show_json():
    return {"greeting": "grüß dich", "pid": os.getpid()}


@app.get("/page")
async def page():
    return await render_template("page.html", site="quart", name=request.args["name"])


@app.get("/redirect")
async def go():
    return redirect("/page?name=friend", 303)


@app.route("/echo/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def echo(rest):
    query = list(request.args.items(multi=True))
    return {"method": request.method, "path": rest, "query": query}


@app.post("/form")
async def form():
    return (await request.form).to_dict()


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    data = file.read()
    return {
        "filename": file.filename,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": (await request.form)["note"],
    }


@app.put("/sink")
async def sink():
    digest, size = hashlib.sha256(), 0
    token = request.args["token"]
    try:
        async for part in request.body:
            if not size:
                note(f"sink began {token}")
            digest.update(part)
            size += len(part)
    except asyncio.CancelledError:  # its way to say that the client has gone
        note(f"sink broken {token}")
        raise
    return {"size": size, "sha256": digest.hexdigest()}


PLAIN = {"content-type": "text/plain"}


@app.get("/stream")
async def stream():
    count, size = int(request.args["count"]), int(request.args["size"])

    async def parts():
        for number in range(count):
            yield b"%c" % (97 + number % 26) * size

    return parts(), PLAIN


@app.get("/relay")
async def relay():
    gate = request.args["gate"]

    async def parts():
        yield b"before\n"
        await pass_gate_async(gate)
        yield b"after\n"

    return parts(), PLAIN


@app.get("/events")
async def events():
    gate = request.args["gate"]

    async def parts():
        await pass_gate_async(gate)
        yield b"data: now\n\n"

    return parts(), {"content-type": "text/event-stream"}


@app.get("/endless")
async def endless():
    token = request.args["token"]

    async def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return parts(), PLAIN


@app.get("/listen")
async def listen():
    token = request.args["token"]
    note(f"listen began {token}")
    try:
        await asyncio.Event().wait()
    finally:
        note(f"listen ended {token}")


@app.post("/background")
async def background():
    gate = request.args["gate"]

    async def after():
        await pass_gate_async(gate)
        note(f"background done {gate}")

    app.add_background_task(after)
    return {"accepted": True}, 202


@app.get("/state")
async def state():
    return {"born": app.config["BORN"], "pid": os.getpid()}


@app.get("/visits")
async def visits():
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}


@app.get("/crash")
async def crash():
    raise RuntimeError(f"crash on purpose {request.args['token']}")


@app.get("/crash-midway")
async def crash_midway():
    token = request.args["token"]

    async def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {token}")

    return parts(), PLAIN


@app.get("/tagged")
async def tagged():
    response = await app.make_response(("tagged content", PLAIN))
    response.set_etag("v1")
    return await response.make_conditional(request)


@app.get("/file")
async def file():
    return await send_file(shared(request.args["name"]), conditional=True)


@app.get("/where")
async def where():
    return {
        "prefix": request.root_path,
        "url": url_for("where"),
        "client": request.remote_addr if request.scope["client"] else None,
        "scheme": request.scheme,
        "forwarded": request.headers.get("x-forwarded-for"),
        "host": request.host,
    }


# --- WebSocket -----------------------------------------------------------------------------------


@app.websocket("/talk")
async def talk():
    token = websocket.args["token"]
    subprotocol = "talk" if "talk" in websocket.requested_subprotocols else None
    await websocket.accept({"x-site": "quart"}, subprotocol)
    try:
        while True:
            message = await websocket.receive()
            if message == "close":
                await websocket.close(4001, "genug, \u00fcbrigens")
            elif message == "crash":
                raise RuntimeError(f"crash on purpose {token}")
            else:
                await websocket.send(message)
    except asyncio.CancelledError:
        note(f"talk ended {token}")
        raise


@app.websocket("/flood")
async def flood():
    token = websocket.args["token"]
    try:
        while True:
            await websocket.send(b"x" * 10_000)
    finally:
        note(f"flood ended {token}")


@app.websocket("/denied")
async def deny():
    return "not you", 401


@app.websocket("/described")
async def describe():
    client = websocket.scope["client"]
    await websocket.send_json(
        {
            "scheme": websocket.scheme,
            "path": websocket.path,
            "host": websocket.headers["host"],
            "client": client[0] if client else None,
        }
    )
