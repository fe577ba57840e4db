"""The ASGI application of the benchmarks."""

import asyncio

from benchmarks.apps.answers import FILE, FILE_BYTES, HELLO, ONE_MIB, PAUSE_S, TEN_KIB

TEXT = (b"content-type", b"text/plain")


async def answer(send, body):
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT, length]})
    await send({"type": "http.response.body", "body": body})


async def hello(_scope, _receive, send):
    await answer(send, HELLO)


async def ten_kib(_scope, _receive, send):
    await answer(send, TEN_KIB)


async def one_mib(_scope, _receive, send):
    await answer(send, ONE_MIB)


async def size(_scope, receive, send):
    """Of the body, which is dropped as it comes."""
    message = await receive()
    size = len(message["body"])
    while message.get("more_body"):
        message = await receive()
        size += len(message["body"])
    await answer(send, str(size).encode())


async def echo(_scope, receive, send):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    await answer(send, body)


async def pause(_scope, _receive, send):
    await asyncio.sleep(PAUSE_S)
    await answer(send, HELLO)


async def file(scope, _receive, send):
    """With pathsend where the server has it, else by one read."""
    if "http.response.pathsend" not in scope.get("extensions", ()):
        with open(FILE, "rb") as content:  # noqa: ASYNC230 - in the page cache: cheaper than a thread
            await answer(send, content.read())
        return
    length = (b"content-length", str(FILE_BYTES).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT, length]})
    await send({"type": "http.response.pathsend", "path": FILE})


async def lifespan(_scope, receive, send):
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def websocket(_scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


KINDS = {"lifespan": lifespan, "websocket": websocket}
ROUTES = {
    "/hello": hello,
    "/10k": ten_kib,
    "/1m": one_mib,
    "/echo": echo,
    "/size": size,
    "/pause": pause,
    "/file": file,
}


async def app(scope, receive, send):
    kind = scope["type"]
    handler = ROUTES[scope["path"]] if kind == "http" else KINDS[kind]
    await handler(scope, receive, send)
