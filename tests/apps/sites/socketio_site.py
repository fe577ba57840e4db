"""A Socket.IO server in front of the plain ASGI site: events, rooms, acknowledgements, binary."""

from __future__ import annotations

import os

import asgi_site
import socketio
from notebook import note, pass_gate_async

# A poll that waits at the end of its session ends after both of these, in seconds.
PINGS = {"ping_interval": 1, "ping_timeout": 1}
server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", **PINGS)


@server.event
async def connect(sid, environ, auth):
    if auth == {"token": "wrong"}:
        raise socketio.exceptions.ConnectionRefusedError("not you")
    await server.save_session(sid, {"path": environ["PATH_INFO"]})


@server.event
async def disconnect(sid, _reason):
    note(f"socketio ended {sid}")


@server.event
async def echo(_sid, value):
    return value


@server.event
async def whoami(sid):
    return {"sid": sid, "pid": os.getpid(), **(await server.get_session(sid))}


@server.event
async def join(sid, room):
    await server.enter_room(sid, room)


@server.event
async def tell(sid, room, text):
    await server.emit("told", text, room=room, skip_sid=sid)


@server.event
async def later(sid, gate):
    async def after():
        await pass_gate_async(gate)
        await server.emit("told", gate, to=sid)

    server.start_background_task(after)


app = socketio.ASGIApp(server, other_asgi_app=asgi_site.app)
