"""An RSGI application that does at each path what the path says, and notes what happens to it."""

import asyncio
import os


def note(text):
    with open("notes", "a") as notes:
        notes.write(f"{os.getpid()} {text}\n")


class App:
    def __rsgi_init__(self, loop):
        note(f"init {loop.is_running()}")

    def __rsgi_del__(self, loop):
        note(f"del {loop.is_running()}")

    async def __call__(self, scope, protocol):
        note("call instead of __rsgi__")

    async def __rsgi__(self, scope, protocol):
        if scope.proto == "ws":
            await session(scope, protocol)
        elif scope.path == "/pid":
            note("request")
            protocol.response_str(200, [], str(os.getpid()))
        elif scope.path == "/listen":
            transport = protocol.response_stream(200, [])
            await transport.send_str("here")
            await protocol.client_disconnect()
            note(f"gone {scope.query_string}")
        elif scope.path == "/watched":
            watcher = asyncio.ensure_future(protocol.client_disconnect())
            protocol.response_str(200, [], "watched")
            await asyncio.sleep(0)
            note(f"watched {watcher.done()}")
            watcher.cancel()
        elif scope.path == "/block":
            async with protocol.response_stream(200, []) as transport:
                await transport.send_str("whole")
        elif scope.path == "/status":
            protocol.response_empty(int(scope.query_string), [])
        else:
            await flood(protocol)


async def flood(protocol):
    """Sends without end; notes how much it could send before it had to wait for long."""
    transport = protocol.response_stream(200, [])
    sent = 0
    while True:
        try:
            await asyncio.wait_for(transport.send_bytes(b"x" * 65536), 1)
        except TimeoutError:
            note(f"held back {sent}")
            return
        sent += 65536


async def session(scope, protocol):
    transport = await protocol.accept(protocol.subprotocols[0], [("x-room", "7")])
    try:
        await protocol.accept()
    except RuntimeError as error:
        await transport.send_str(f"{type(error).__name__}: {error}")
    message = await transport.receive()
    if message.kind == 0:
        note(f"closed {message.code} {message.reason}")
    else:
        protocol.close(4001, "enough")


app = App()
