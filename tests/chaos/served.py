"""The application that is loaded: each answer names its request, its process and its version."""

from __future__ import annotations

import hashlib
import os

from payload import LARGE_BYTES, pieces, small

VERSION = "one"
BALLAST: list[bytes] = []  # grows where a worker shall be recycled for its memory
BALLAST_BYTES = 0


async def app(scope, receive, send):
    """/echo/N, /large/N, /upload/N and the WebSocket /ws."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await conversation(receive, send)
    else:
        _, kind, number = scope["path"].split("/")
        await globals()[kind](int(number), receive, send)


async def lifespan(receive, send):
    for phase in ("startup", "shutdown"):
        message = await receive()
        if message["type"] != f"lifespan.{phase}":
            raise RuntimeError(message)
        await send({"type": f"lifespan.{phase}.complete"})


async def conversation(receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-pid", b"%d" % os.getpid())]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def echo(number, receive, send):
    if BALLAST_BYTES:
        BALLAST.append(bytes([number % 255 + 1]) * BALLAST_BYTES)
    await head(send, b"%d %s\n" % (number, VERSION.encode()) + small(number))


async def large(number, receive, send):
    await begin(send, LARGE_BYTES)
    for piece in pieces(number, LARGE_BYTES):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def upload(number, receive, send):
    summed, size, more = hashlib.blake2b(digest_size=16), 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        summed.update(message["body"])
        size += len(message["body"])
        more = message["more_body"]
    await head(send, b"%d %d %s" % (number, size, summed.hexdigest().encode()))


async def head(send, body):
    await begin(send, len(body))
    await send({"type": "http.response.body", "body": body})


async def begin(send, size):
    fields = [(b"content-length", b"%d" % size), (b"x-pid", b"%d" % os.getpid())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
