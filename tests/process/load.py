"""Clients that count what they lose.

Two kinds at once, in a process of their own: some keep their connection as long as the server lets
them, others open a new one for each request. Lost is whatever a person would call broken: refused,
reset, cut short, not a 200, the wrong body, an answer that never comes. A connection that the
server closes under a request that has been sent counts as lost too: nothing is tried again.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from h2.exceptions import ProtocolError

from tests.process.h2_client import Streams

ANSWER_PATIENCE_S = 20.0
STREAMS = 8


class Load:
    """Keeps clients busy until it is left; then `result` holds what they saw.

    Args:
        address: ("host", port) or the path of a unix socket.
        path: what they ask for; the body of every answer must start with `expected`.
        keep: clients that keep their connection.
        new: clients that open a new one for each request.
        h2: clients that speak HTTP/2, each with eight streams at once. A stream that the server
            says it has not begun (GOAWAY) is no loss: any client asks again.
        pause_s: between an answer and the next request of a client; about a thousand requests a
            second find what is lost, and leave the processors to what they are asked of.
    """

    module = "tests.process.load"  # whose clients they are

    def __init__(
        self,
        address,
        path: str = "/",
        expected: str = "",
        keep: int = 6,
        new: int = 3,
        h2: int = 0,
        pause_s: float = 0.008,
    ):
        self.start([address, path, expected, keep, new, h2, pause_s])

    def start(self, terms: list) -> None:
        """Start the clients, in a process of their own."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, json.dumps(terms)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.result: dict = {}

    def __enter__(self) -> Load:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "busy\n"
        return self

    def progress(self, line: str = "?") -> int:
        """Requests answered so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def more(self, count: int = 200) -> None:
        """Return when that many more requests have been answered."""
        wanted = self.progress() + count
        end = time.monotonic() + 60
        while self.progress() < wanted:
            assert time.monotonic() < end, "the clients get no answers"
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        out, _err = self._process.communicate("stop\n", timeout=60)
        self.result = json.loads(out.splitlines()[-1])


class _Clients:
    def __init__(self, address, path, expected, pause_s):
        self.pause_s = pause_s
        self.address = tuple(address) if isinstance(address, list) else address
        self.request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self.expected = expected.encode()
        self.answered = 0
        self.connections = 0
        self.lost: list[str] = []
        self.bodies: dict[str, int] = {}
        self.stopping = False

    async def connect(self):
        self.connections += 1
        if isinstance(self.address, str):
            return await asyncio.open_unix_connection(self.address)
        reader, writer = await asyncio.open_connection(*self.address)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    async def ask(self, reader, writer) -> bool:
        """One request; True when the connection may be used again."""
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(f"status {lines[0]!r}")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        if not body.startswith(self.expected):
            raise ValueError(f"body {body[:60]!r}")
        self.answered += 1
        key = body[:40].decode()
        self.bodies[key] = self.bodies.get(key, 0) + 1
        return b"connection: close" not in lines

    async def client(self, keep: bool):
        reader = writer = None
        while not self.stopping:
            step = "connect"
            try:
                if writer is None:
                    reader, writer = await self.connect()
                step = "answer"
                again = await asyncio.wait_for(self.ask(reader, writer), ANSWER_PATIENCE_S)
            except (OSError, ValueError, EOFError, TimeoutError, StopIteration) as error:
                self.lost.append(f"{step}: {type(error).__name__} {error}")
                again = False
            if writer is not None and not (again and keep):
                writer.close()
                writer = None
            if self.pause_s or not keep:
                await asyncio.sleep(self.pause_s or 0.002)  # leave some of the two cores
        if writer is not None:
            writer.close()

    async def streams(self, path: str):
        """Connections of HTTP/2, one after the other."""

        def answered(body: bytes) -> None:
            if not body.startswith(self.expected):
                self.lost.append(f"body {body[:60]!r}")
            self.answered += 1
            key = body[:40].decode()
            self.bodies[key] = self.bodies.get(key, 0) + 1

        while not self.stopping:
            streams = Streams(path, answered, lambda: not self.stopping, STREAMS, self.pause_s)
            try:
                reader, writer = await self.connect()
                await streams.run(reader, writer)
                writer.close()
            except (OSError, ProtocolError) as error:
                self.lost.append(f"streams: {type(error).__name__} {error}")
            self.lost += streams.lost

    async def run(self, path: str, keep: int, new: int, h2: int):
        tasks = [asyncio.create_task(self.client(True)) for _ in range(keep)]
        tasks += [asyncio.create_task(self.client(False)) for _ in range(new)]
        tasks += [asyncio.create_task(self.streams(path)) for _ in range(h2)]
        print("busy", flush=True)
        loop = asyncio.get_running_loop()
        while (await loop.run_in_executor(None, sys.stdin.readline)).startswith("?"):
            print(self.answered, flush=True)
        self.stopping = True
        await asyncio.gather(*tasks)
        result = {
            name: getattr(self, name) for name in ("answered", "connections", "lost", "bodies")
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    address, path, expected, keep, new, h2, pause_s = json.loads(sys.argv[1])
    asyncio.run(_Clients(address, path, expected, pause_s).run(path, keep, new, h2))
