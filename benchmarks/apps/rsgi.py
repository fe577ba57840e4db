"""The RSGI application of the benchmarks."""

import asyncio

from benchmarks.apps.answers import FILE, HELLO, PAUSE_S, TEN_KIB

TEXT = [("content-type", "text/plain")]


async def hello(protocol):
    protocol.response_bytes(200, TEXT, HELLO)


async def ten_kib(protocol):
    protocol.response_bytes(200, TEXT, TEN_KIB)


async def echo(protocol):
    protocol.response_bytes(200, TEXT, await protocol())


async def pause(protocol):
    await asyncio.sleep(PAUSE_S)
    protocol.response_bytes(200, TEXT, HELLO)


async def file(protocol):
    protocol.response_file(200, TEXT, FILE)


CLOSE = 0  # the kind of a message that ends a conversation


async def websocket(protocol):
    transport = await protocol.accept()
    while (message := await transport.receive()).kind != CLOSE:
        await transport.send_str(message.data)


ROUTES = {"/hello": hello, "/10k": ten_kib, "/echo": echo, "/pause": pause, "/file": file}


async def app(scope, protocol):
    await (websocket if scope.proto == "ws" else ROUTES[scope.path])(protocol)
