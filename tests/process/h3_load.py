"""Clients of HTTP/3 that count what they lose, in a process of their own.

Some ask one request after the other, with several under way on each connection, some upload, some
read answers that take a while, some converse. On GOAWAY each opens another connection, as RFC 9114
5.2 wants it of every client, and asks again what the server says that it has not begun: that
is no loss. Everything else is: no handshake, a reset, an end of the connection, a status other than
200, a wrong body, a conversation that ends in any way but a Close with 1001 or 1012 behind its echoes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import sys
import time
from collections import Counter

from tests.process.h3_client import Client, Lost, configuration, connect
from tests.process.load import Load

WIDTH = 4  # requests of a connection under way
LONG_S = 1.5  # of an answer that takes a while
SMALL_BYTES = 300
UPLOAD_BYTES = 64 << 10
FAREWELLS = {1001, 1012}  # RFC 6455 7.4.1; its registry
CROSSING_S = 1.0  # a message sent so shortly before a Close may have crossed it
LOOK_S = 1.0  # between two PINGs
REST_S = 0.05  # after a connection that came to nothing
FILL = random.Random(1).randbytes(UPLOAD_BYTES)


class H3Load(Load):
    """The handle of it, as of all loads (load.py); then `result` has `again`, `lost` and `ends`, too.

    Args:
        port: UDP, of this machine.
        authority: certificate of whom to trust, PEM.
        steady: connections of requests that follow each other; the first one also moves.
        uploads: connections of uploads.
        long: connections of answers that take a while.
        talks: conversations.
        pause_s: between an answer and the next request of a client.
    """

    module = "tests.process.h3_load"

    def __init__(
        self,
        port: int,
        authority: bytes,
        *,
        steady: int = 3,
        uploads: int = 1,
        long: int = 2,
        talks: int = 2,
        pause_s: float = 0.03,
    ) -> None:
        kinds = {"steady": steady, "uploads": uploads, "long": long, "talks": talks}
        self.start([port, authority.decode(), kinds, pause_s])

    def doom(self, pid: int) -> None:
        """That process is about to be killed: what it held may be lost with it."""
        self.progress(f"-{pid}")


class _Clients:
    def __init__(self, port: int, authority: str, pause_s: float) -> None:
        self.port = port
        self.authority = authority.encode()
        self.pause_s = pause_s
        self.answered = 0
        self.connections = 0
        self.again = 0
        self.moves = 0
        self.kinds: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.lost: list[str] = []
        self.held: list[str] = []
        self.doomed: dict[int, float] = {}
        self.stopping = False

    # --- connections ------------------------------------------------------------------------------

    async def connections_of(self, kind: str, use) -> None:
        """Connections, one after the other, each used until the server says GOAWAY."""
        while not self.stopping:
            self.connections += 1
            began = time.monotonic()
            try:
                async with connect(self.port, configuration(self.authority)) as client:
                    client.pid, client.born = 0, began
                    watch = asyncio.create_task(self._watch(client))
                    try:
                        await use(client)
                    finally:
                        watch.cancel()
                    self.ends[_end(client)] += 1
            except (Lost, TimeoutError, AssertionError) as error:
                self._lose(kind, None, f"connect: {type(error).__name__} {error}", began)
                await asyncio.sleep(REST_S)

    async def _watch(self, client: Client) -> None:
        """Who only waits sends nothing, and so nobody can tell it that its server is gone."""
        with contextlib.suppress(Lost):
            while True:
                await asyncio.sleep(LOOK_S)
                await client.ping()

    def _lose(self, kind: str, client: Client | None, why: str, began: float = 0.0) -> None:
        """What was lost with a process that was killed is told apart.

        A connection says with its first answer whose it is. One that had no answer by then may have
        been that process's.
        """
        pid = 0 if client is None else client.pid
        since = client.born if client else began
        held = pid in self.doomed if pid else any(since < death for death in self.doomed.values())
        story = f"{kind} of {pid}, {time.monotonic() - since:.2f} s old: {why}"
        (self.held if held else self.lost).append(story)

    def _answer(self, client: Client, kind: str, pid: bytes, key: str) -> None:
        if client.pid and int(pid) != client.pid:
            self.lost.append(f"{kind}: began at worker {client.pid}, is now at {int(pid)}")
        client.pid = int(pid)
        self.answered += 1
        self.kinds[kind] += 1
        self.bodies[key] += 1

    # --- what they do -----------------------------------------------------------------------------

    async def steady(self, client: Client, *, moving: bool) -> None:
        async def one_after_the_other() -> None:
            while not self.stopping and not client.goaways and not client.over.is_set():
                await self._ask(client, "steady", f"/large?{SMALL_BYTES}", b"x" * SMALL_BYTES)
                await asyncio.sleep(self.pause_s)

        async def move() -> None:
            while not self.stopping and not client.goaways and not client.over.is_set():
                await asyncio.sleep(0.3)
                if client.quic._peer_cid_available and not client.over.is_set():
                    await client.move()
                    self.moves += 1

        await asyncio.gather(
            *(one_after_the_other() for _ in range(WIDTH)), *([move()] if moving else [])
        )

    async def uploads(self, client: Client) -> None:
        wanted = f"{UPLOAD_BYTES} {hashlib.sha256(FILL).hexdigest()}".encode()
        while not self.stopping and not client.goaways and not client.over.is_set():
            await self._ask(client, "upload", "/upload", wanted, FILL)
            await asyncio.sleep(self.pause_s)

    async def long(self, client: Client) -> None:
        wanted = b"".join(b"%d\n" % number for number in range(20))
        while not self.stopping and not client.goaways and not client.over.is_set():
            await self._ask(client, "long", f"/long?{LONG_S}", wanted)

    async def _ask(self, client, kind: str, path: str, wanted: bytes, body=None) -> None:
        try:
            answer = await client.ask(path, "POST" if body else "GET", body)
        except Lost as lost:
            if lost.refused:
                self.again += 1  # the next connection asks for it
            else:
                self._lose(kind, client, f"{path}: {lost}")
        except TimeoutError:
            self._lose(kind, client, f"{path}: no answer")
        else:
            if answer.status != 200 or answer.body != wanted:
                self.lost.append(f"{kind}: {path}: {answer.status} {answer.body[:60]!r}")
            self._answer(client, kind, answer.fields["x-pid"].encode(), kind)

    async def talks(self, client: Client) -> None:
        """Say a number, wait for it, and so on, until a Close."""
        try:
            talk = await client.talk("/talk")
        except Lost as lost:
            if lost.refused:
                self.again += 1
                return
            self._lose("talk", client, str(lost))
            return
        client.pid = int(dict(talk.stream.fields).get(b"x-pid", b"0"))
        number, sent_at = 0, 0.0
        try:
            while True:
                number, sent_at = number + 1, time.monotonic()
                talk.send(str(number))
                heard = await talk.receive()
                if isinstance(heard, int):
                    if heard not in FAREWELLS:
                        self._lose("talk", client, f"closed with {heard}")
                    elif time.monotonic() - sent_at > CROSSING_S:
                        self._lose("talk", client, "closed without the echo")
                    self.ends[f"talk {heard}"] += 1
                    return
                if heard != str(number):
                    self.lost.append(f"talk: {heard!r} for {number}")
                self.answered += 1
                self.kinds["talk"] += 1
                if self.stopping:
                    talk.close()
                    await talk.receive()
                    return
                await asyncio.sleep(self.pause_s)
        except (Lost, TimeoutError) as lost:
            self._lose("talk", client, f"after {number} messages: {lost!r}")

    # --- the process ------------------------------------------------------------------------------

    async def run(self, kinds: dict[str, int]) -> None:
        uses = [("steady", lambda client: self.steady(client, moving=True))] * min(
            1, kinds["steady"]
        )
        uses += [("steady", lambda client: self.steady(client, moving=False))] * (
            kinds["steady"] - 1
        )
        for kind in ("uploads", "long", "talks"):
            uses += [(kind, getattr(self, kind))] * kinds[kind]
        tasks = [asyncio.create_task(self.connections_of(kind, use)) for kind, use in uses]
        print("busy", flush=True)
        loop = asyncio.get_running_loop()
        while (line := await loop.run_in_executor(None, sys.stdin.readline)).startswith(("?", "-")):
            if line.startswith("-"):
                self.doomed[int(line[1:])] = time.monotonic()
            print(self.answered, flush=True)
        self.stopping = True
        await asyncio.gather(*tasks)
        names = (
            "answered",
            "connections",
            "again",
            "moves",
            "kinds",
            "bodies",
            "ends",
            "lost",
            "held",
        )
        print(json.dumps({name: getattr(self, name) for name in names}), flush=True)


def _end(client: Client) -> str:
    """How a connection came to its end, in a word."""
    if client.was_reset:
        return "stateless reset"
    if client.goaways:
        return "goaway"
    return "left" if client.ended is None else f"closed {client.ended.error_code:#x}"


if __name__ == "__main__":
    port, authority, kinds, pause_s = json.loads(sys.argv[1])
    asyncio.run(_Clients(port, authority, pause_s).run(kinds))
