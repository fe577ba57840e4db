"""Random stories against the contract of engine.contract: what is fed, in which order, how often."""

from __future__ import annotations

import contextlib
import random
import re
import socket

import pytest

from granian_d.engine.contract import Leave
from tests.unit.transport.house import reset

LETTERS = {"data": "d", "eof": "e", "room": "r", "drain": "n", "expire": "x", "lost": "L"}
CONTRACT = re.compile(r"[drnx]*(e[rnx]*)?(F)?L")
BLOCK = b"x" * 100_000


class Storyteller:
    """Does what the dice say, on both sides of some connections."""

    def __init__(self, bench, dice) -> None:
        self.bench = bench
        self.dice = dice
        self.pairs = []

    async def begin(self) -> None:
        client, endpoint = await self.bench.connect()
        self.pairs.append((client, endpoint))
        for occasion in ("data", "eof", "room"):
            endpoint.reactions[occasion] = lambda: self.order(self.dice.choice(self.pairs)[1])

    def order(self, endpoint) -> None:
        """Something that an endpoint may ask of its wire."""
        order = self.dice.choice(
            ["write", "write", "fill", "pause", "resume", "resume", "finish", "abort", ""]
        )
        ended = any(kind in {"finish", "lost"} for kind, *_ in endpoint.fed)
        if ended or not order:
            return
        if order in {"finish", "abort"}:
            if self.dice.random() < 0.7:
                return
            endpoint.fed.append(("finish",))
        if order == "write":
            endpoint.wire.write(b"answer")
        elif order == "fill":
            endpoint.wire.write(BLOCK)
        else:
            getattr(endpoint.wire, order)()

    def act(self, client) -> None:
        """Something that a peer may do."""
        act = self.dice.choice(["send", "send", "send", "read", "read", "half", "reset", "close"])
        with contextlib.suppress(OSError):
            if act == "send":
                client.send(b"x" * self.dice.choice([1, 1000, 100_000]))
            elif act == "read":
                client.recv(1 << 20)
            elif self.dice.random() < 0.3:
                if act == "half":
                    client.shutdown(socket.SHUT_WR)
                elif act == "reset":
                    reset(client)
                else:
                    client.close()


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_the_contract_is_kept(bench, transport, seed):
    dice = random.Random(seed)

    async def scenario():
        story = Storyteller(bench, dice)
        for _ in range(4):
            await story.begin()
        for _ in range(60):
            client, endpoint = dice.choice(story.pairs)
            story.act(client) if dice.random() < 0.6 else story.order(endpoint)
            if dice.random() < 0.4:
                await bench.settle()
        await bench.settle()
        bench.connections.drain(Leave(1.0))
        await bench.settle()
        for _, endpoint in story.pairs:
            endpoint.wire.abort()
        for _, endpoint in story.pairs:
            await endpoint.until("lost")
        await bench.settle()
        for _, endpoint in story.pairs:
            word = "".join(LETTERS.get(kind, "F") for kind, *_ in endpoint.fed)
            assert CONTRACT.fullmatch(word), word
        assert not bench.connections.open
        assert bench.counts[-1] == 0
        if transport == "stream":  # asyncio tells of a shutdown(2) that its peer forestalled
            bench.reports[:] = [r for r in bench.reports if not isinstance(r["exception"], OSError)]

    bench.run(scenario())
