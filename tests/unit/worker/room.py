"""All that a worker serves with, without its process: a listener, connections, a dispatch, a log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tempfile
from array import array
from pathlib import Path

from granian_d.control.channel import Drain as Order
from granian_d.engine.negotiate import plain
from granian_d.http.turn import Turn
from granian_d.interface.contract import Context
from granian_d.interface.registry import load
from granian_d.observe.access_log import AccessLog
from granian_d.observe.log import Log, LogFile
from granian_d.observe.scoreboard import COLUMNS, WORDS
from granian_d.transport.accept import Acceptor
from granian_d.transport.choose import make_connections
from granian_d.transport.contract import Door
from granian_d.transport.deadlines import Deadlines
from granian_d.worker import fronts
from granian_d.worker.dispatch import Dispatch
from granian_d.worker.drain import Drain
from granian_d.worker.overdue import Overdue
from tests.unit.plan import specimens

PATIENCE_S = 30


class Room:
    """A worker's inside, on the loop that runs.

    Args:
        engine: its name.
        app: the application.
        interface: that it speaks.
        health: the path at which the daemon answers, "" for none.
        static: a StaticPlan, None for no files.
        threads: for WSGI.
        unix: listen on a unix socket.
    """

    def __init__(
        self, engine, app, interface="asginl", *, health="", static=None, threads=4, unix=False
    ):
        loop = self.loop = asyncio.get_running_loop()
        self.engine = engine
        self.row = memoryview(array("Q", [0] * WORDS))
        self.health = memoryview(array("Q", [0]))
        self._directory = contextlib.ExitStack()
        self.path = Path(self._directory.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        self.files = [LogFile(str(self.path / name), -1) for name in ("log", "access")]
        self.log = Log(specimens.log_plan(format="json"), self.files[0], journal=False)
        self.access_log = AccessLog("%(path)s %(status)d", self.files[1], loop.call_soon)
        turn = Turn()
        context = Context(loop, "", False, threads, 5.0, turn=turn)
        self.interface = load(interface)(app, context)
        terms = (self.interface, self.row, self.log, self.access_log, None)
        self.dispatch = Dispatch(*terms)
        if health or static:
            plan = specimens.worker_plan(health=health, static=static)
            self.dispatch = fronts.make(plan, self.health, terms)
        limits = specimens.limits(websocket=specimens.WEBSOCKET)
        self.connections = make_connections(
            engine, loop, self.dispatch, limits, Deadlines(loop), self._changed, turn
        )
        self.listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.listener.bind(str(self.path / "sock") if unix else ("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        door = Door(self.listener, plain(engine, "auto"))
        self.acceptor = Acceptor(loop, [door], self.connections, 100, self._failed)
        self._writers = []
        self.drain = Drain(loop, self.acceptor, self.connections, self.interface, self.log)

    def _changed(self, count):
        self.acceptor.count_changed(count)
        self.drain.look()

    def _failed(self, error):
        raise error

    def order(self, budget_s, stream_s, idle_s=60.0):
        """Order the drain."""
        self.drain.order(Order(budget_s, idle_s, False, stream_s), idle_s)

    def overdue(self, limit_s):
        """What looks for requests that are not answered."""
        terms = (self.connections, self.interface, self.row, self.log)
        return Overdue(self.loop, limit_s, *terms)

    async def dial(self):
        """A client's end."""
        if isinstance(self.address, str):
            ends = await asyncio.open_unix_connection(self.address)
        else:
            ends = await asyncio.open_connection(*self.address)
        self._writers.append(ends[1])
        return ends

    async def ask(self, path, *fields):
        """A client that has asked for `path`, and waits."""
        reader, writer = await self.dial()
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
        writer.write("\r\n".join(lines).encode())
        return Client(reader, writer)

    async def until(self, holds):
        """Return when `holds()`."""
        while not holds():
            await asyncio.sleep(0.01)

    @property
    def logged(self):
        return [json.loads(line) for line in (self.path / "log").read_text().splitlines()]

    @property
    def accesses(self):
        self.access_log.flush()
        return (self.path / "access").read_text().splitlines()

    @property
    def counted(self):
        return {name: self.row[i] for i, name in enumerate(COLUMNS) if self.row[i]}

    async def close(self):
        for connection in list(self.connections.open):
            connection.abort()
        self.acceptor.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await self.interface.shutdown()
        for file in self.files:
            file.close()
        self._directory.close()


class Client:
    """Who has asked for something."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def head(self):
        """The head of the answer."""
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def chunked(self):
        """What is left of a chunked answer."""
        return await self.reader.readuntil(b"\r\n0\r\n\r\n")

    async def rest(self):
        """What is left of the answer; None if it ends with a reset."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return None

    async def answer(self):
        """Status and body, up to the end of the connection."""
        head, _, body = (await self.reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body

    def close(self):
        self.writer.close()


class Holding:
    """An ASGI application that answers when it is told to.

    /quick at once; /slow when `release` is set; /stream begins at once and goes on then; a
    WebSocket is accepted.
    """

    def __init__(self):
        self.begun = []  # paths, in the order in which they came
        self.ends = []  # of calls: "returned", or what they raised
        self.release = asyncio.Event()

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        self.begun.append(path)
        try:
            await self._answer(scope, receive, send)
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("returned")

    async def _answer(self, scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        body = {"type": "http.response.body"}
        if scope["path"] == "/slow":
            await self._wait()
        await send({"type": "http.response.start", "status": 200})
        if scope["path"] == "/stream":
            await send({**body, "body": b"first", "more_body": True})
            await self._wait()
        await send({**body, "body": b"last"})

    async def _wait(self):
        await self.release.wait()
