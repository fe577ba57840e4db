"""All kinds of clients at once, in a process of their own: `python -m tests.chaos.clients JSON`.

They ask at a given pace, not as fast as they can, so that the daemon has the processor when it
needs it; what could not be asked in time is asked later, for up to a second's worth. A line of JSON
on standard input is a command, its answer a line on standard output: see load.py.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos.http1 import Kept, New, Reader, Upload
from tests.chaos.http2 import Streams
from tests.chaos.ledger import Ledger
from tests.chaos.websocket import Conversation
from tests.chaos.wire import Reactor

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 20.0  # for an answer
TICK_S = 0.004
LOOK_S = 0.5  # between two looks at what is overdue
MOST_OWED_S = 1.0  # of a kind's pace
SELDOM_S = (0.3, 2.5)  # between two requests of a client that has little to ask
REST_S = 0.1  # of one that has lost its request, and between two slow ones


class Seldom(Kept):
    """Keeps a connection that is idle most of the time, and does not look at it meanwhile.

    Others see a FIN at once and dial anew. Across a network, or behind a pool that does not look,
    it is found when the next request is on its way: here, too.
    """

    kind = "seldom"

    def ask(self, dialled: bool) -> None:
        self.resume()
        super().ask(dialled)

    def _over(self, again: bool) -> None:
        super()._over(again)
        self.pause()


class Pool:
    """Connections for one request at a time, of which an idle one is used again."""

    def __init__(self, clients: Clients, make: Callable[..., Kept], size: int) -> None:
        self._clients = clients
        self._make = make
        self._size = size
        self._count = 0
        self._idle: dict[Kept, None] = {}  # in the order in which they became idle

    def ask(self) -> bool:
        """One more request; False when all are busy."""
        if self._idle:
            one = next(iter(self._idle))
            del self._idle[one]
            one.ask(dialled=True)
        elif self._count < self._size:
            self._count += 1
            self._make(self._clients, self._done, self._gone).ask(dialled=False)
        else:
            return False
        return True

    def _done(self, one: Kept, again: bool) -> None:
        if again:
            self._idle[one] = None
        else:
            self._count -= 1

    def _gone(self, one: Kept) -> None:
        del self._idle[one]
        self._count -= 1


class Several:
    """Connections that take several requests at once: the next one is asked on the next with room."""

    def __init__(self, clients: Clients, make: Callable[..., Streams | Conversation], size: int):
        self._clients = clients
        self._make = make
        self._size = size
        self._all: list[Streams | Conversation] = []
        self._turn = 0

    def ask(self) -> bool:
        while len([one for one in self._all if not getattr(one, "leaving", False)]) < self._size:
            if not self._one_more():
                break
        for _ in self._all:
            self._turn = (self._turn + 1) % len(self._all)
            if self._all[self._turn].room:
                self._all[self._turn].ask()
                return True
        return False

    def _one_more(self) -> bool:
        one = self._make(self._clients, self._gone)
        if one.open:  # else it was refused, and the next try is the next request's
            self._all.append(one)
        return one.open

    def _gone(self, one: Streams | Conversation) -> None:
        if one in self._all:
            self._all.remove(one)

    def leave(self) -> None:
        for one in list(self._all):
            one.leave()


class Clients:
    """Everybody, and the loop in which they live."""

    def __init__(self, address, pace: dict[str, float], size: dict[str, int]) -> None:
        self.reactor = Reactor()
        self.ledger = Ledger()
        self.asking: set = set()  # connections that wait for something
        self._addresses = [_address(address)]
        self._dials = itertools.count()
        self._numbers = itertools.count(1)
        self._pace = pace
        self._size = size
        self._due: Counter[str] = Counter()
        self._stopping = False
        self._several = {
            "h2": Several(self, Streams, size["h2"]),
            "websocket": Several(self, Conversation, size["websocket"]),
        }
        self._paced = {
            "kept": Pool(self, Kept, size["kept"]),
            "new": Pool(self, New, size["new"]),
            **self._several,
        }
        self._commands = bytearray()

    # --- what connections ask for ---------------------------------------------------------------

    def address(self) -> tuple[str, int] | str:
        return self._addresses[next(self._dials) % len(self._addresses)]

    def next_number(self) -> int:
        return next(self._numbers)

    def owe(self, kind: str) -> None:
        """A request that was never begun is asked again."""
        self._due[kind] += 1

    # --- the loop -------------------------------------------------------------------------------

    def run(self) -> None:
        os.set_blocking(0, False)
        self.reactor.watch(0, select.EPOLLIN, self._hear)
        for kind in (Seldom, Upload, Reader):
            for _ in range(self._size[kind.kind]):
                self._again(kind, None)
        before = look = time.monotonic()
        while not (self._stopping and not self.ledger.under_way):
            self.reactor.turn(TICK_S)
            now = time.monotonic()
            self.ledger.own_lag_s = max(self.ledger.own_lag_s, now - before)
            if not self._stopping:
                self._ask(now - before)
            else:
                for several in self._several.values():
                    several.leave()
            before = now
            if now >= look:
                look = now + LOOK_S
                for one in list(self.asking):
                    one.overdue(now, PATIENCE_S)

    def _ask(self, passed_s: float) -> None:
        for kind, pool in self._paced.items():
            due = self._due[kind] + self._pace[kind] * passed_s
            while due >= 1 and pool.ask():
                due -= 1
            self._due[kind] = min(due, self._pace[kind] * MOST_OWED_S)

    def _again(self, kind: type[Seldom | Upload | Reader], one) -> None:
        """The next request of one who waits between two."""
        wait_s = random.uniform(*SELDOM_S) if kind is Seldom else REST_S

        def done(one, _again: bool) -> None:
            self._again(kind, one)

        def ask() -> None:
            if self._stopping:
                return
            if one is not None and one.open:
                one.ask(dialled=True)
            else:
                kind(self, done).ask(dialled=False)

        self.reactor.later(wait_s, ask)

    # --- commands -------------------------------------------------------------------------------

    def _hear(self, _events: int) -> None:
        data = os.read(0, 65536)
        if not data:
            self._stopping = True  # whoever has started us is gone
            self.reactor.forget(0)
        self._commands += data
        *lines, rest = self._commands.split(b"\n")
        self._commands = bytearray(rest)
        for line in lines:
            answer = self._obey(json.loads(line))
            print(json.dumps(answer), flush=True)

    def _obey(self, command: dict) -> dict:
        match command["do"]:
            case "listen":
                self._addresses.append(_address(command["address"]))
            case "leave":
                self._addresses.remove(_address(command["address"]))
            case "longest":
                return self.ledger.take_longest()
            case "stop":
                self._stopping = True
        return self.ledger.sums()


def _address(value) -> tuple[str, int] | str:
    return value if isinstance(value, str) else (value[0], value[1])


def main() -> None:
    clients = Clients(*json.loads(sys.argv[1]))
    print("busy", flush=True)
    clients.run()
    result = {**clients.ledger.sums(), "lost": clients.ledger.lost}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
