"""Applications made up by the dice, sensible ones and others, and what they live to see.

A script is a list of steps, each a verb with its arguments. An Actor plays scripts on the
exchanges of a connection and notes what came of each step: what was returned, or which error was
raised. The notes of two engines can be compared line by line.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from granian_d.errors import ApplicationError, RemoteError
from tests.wire.harness import read_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from granian_d.http.exchange import Exchange

Step = tuple[Any, ...]
Script = list[Step]
Playing = Generator[Any, None, Any]


class Octets(bytes):
    """Bytes of an application's own class."""

    __slots__ = ()


# --- what applications say ------------------------------------------------------------------------

STATUSES = [200, 200, 200, 201, 204, 205, 206, 299, 304, 404, 500, 999, HTTPStatus.ACCEPTED]
ODD_STATUSES = [100, 199, 1000, -1, 2**70, True, "200", 200.0, None]
INTERIM = [103, 103, 100, 102, 101, 200, True, None]
FIELDS = [
    (b"Content-Type", b"text/plain"),
    (b"x-padded", b" \t v \t"),
    (b"X-Empty", b""),
    (b"x-latin", b"\xe9\xff"),
    (b"set-cookie", b"a=b"),
    (b"set-cookie", b"c=d"),
    (b"Date", b"Tue, 15 Nov 1994 08:12:31 GMT"),
    (b"SERVER", b"other"),
    (b"Upgrade", b"h2c"),
    (b"keep-alive", b"timeout=5"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Proxy-Connection", b"close"),
    (b"x", Octets(b"own")),
    (Octets(b"x"), b"own"),
    *((b"Content-Length", length) for length in (b"0", b"2", b"5", b"5", b"05", b" 5", b"70000")),
    *(
        (b"connection", option)
        for option in (b"close", b"Keep-Alive", b"X-a, close", b"x, ,y", b"")
    ),
    *((b"x-long", b"v" * size) for size in (900, 1013, 1014, 1015, 5000, 70_000)),
]
USUAL_FIELDS = [[], [(b"a", b"b")], [(b"content-length", b"5")], [(b"connection", b"close")]]
USUAL_TRAILERS = [[], [(b"x-sum", b"1")], [(b"Trailer", b"5"), (b"a", b"b")]]
ODD_FIELDS = [
    *(
        (b"x y", b"v"),
        (b"", b"v"),
        (b"x:", b"v"),
        (b"\xe9", b"v"),
        (b"x", b"a\r\nb"),
        (b"x", b"\0"),
    ),
    *(("x", b"v"), (b"x", "v"), (b"x", None), (bytearray(b"x"), b"v"), (b"x", memoryview(b"v"))),
    *((b"x",), (b"x", b"y", b"z"), b"xy", None, [b"x", b"a list"]),
    *((b"content-length", length) for length in (b"", b"x", b"5, 5", b"+5", b"-1", b"9" * 18)),
    *((b"content-length", length) for length in (b"9" * 19, b"0" * 20, b"9" * 5000)),
]
PARTS = [b"", b"a", b"hello", b"hello", b"x" * 300, Octets(b"own")]
LARGE_PARTS = [b"y" * size for size in (65_535, 65_536, 65_537, 150_000)]
ODD_PARTS = ["text", bytearray(b"x"), memoryview(b"x"), None, 5]

READ, PART, PULL, HOLD, ROOM = ("read",), ("part",), ("pull",), ("hold",), ("room",)
PAUSES = [READ, READ, READ, PART, PULL, HOLD]
IN_CALLBACKS = [None, ("abort",), ("send", b"bye", True), ("finish", []), ("pull",), ("fail",)]


class Author:
    """Writes scripts."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def any_script(self) -> Script:
        """A script for one exchange."""
        dice = self._dice
        kind = dice.randrange(7)
        if kind < 2:
            before = dice.choice([[READ], [READ], [], [HOLD]])
            return [*before, ("start", 200, [], list), ("send", b"ok", True)]
        if kind == 2:
            return [self._any_step() for _ in range(dice.randrange(8))]
        script = [self._when_gone()] if dice.randrange(6) == 0 else []
        script += self._pauses()
        script += [self._inform()] if dice.randrange(5) == 0 else []
        script += [*self._pauses(), self._start(), *self._pauses(), *self._body()]
        return [*script, *dice.choice([[], [], [], [PULL], [READ], [("abort",)]])]

    def reader(self) -> Script:
        """A script that reads everything first and waits for nothing else.

        To its outcome it does not matter when the octets come.
        """
        body = [step for step in self._body() if step not in (HOLD, ROOM)]
        return [READ, self._start(), *body]

    def _pauses(self) -> Script:
        return [self._dice.choice(PAUSES) for _ in range(self._dice.choice([0, 0, 1, 1, 2]))]

    def _any_step(self) -> Step:
        dice = self._dice
        kind = dice.randrange(10)
        if kind < 4:
            return dice.choice([READ, PART, PULL, HOLD, ROOM, ("abort",), ("fail",)])
        if kind < 6:
            return self._send()
        others = [self._inform, self._start, self._finish, self._file, self._when_gone]
        return dice.choice(others)()

    def _start(self) -> Step:
        dice = self._dice
        status = dice.choice(STATUSES if dice.randrange(16) else ODD_STATUSES)
        return ("start", status, self._fields(), dice.choice([list, list, list, tuple, iter]))

    def _inform(self) -> Step:
        return ("inform", self._dice.choice(INTERIM), self._fields())

    def _fields(self) -> list[Any] | None:
        dice = self._dice
        kind = dice.randrange(12)
        if kind < 4:
            return dice.choice(USUAL_FIELDS)
        if kind == 4:
            return None
        table: list[Any] = FIELDS if kind < 10 else FIELDS + ODD_FIELDS
        return [dice.choice(table) for _ in range(dice.randrange(4))]

    def _send(self, last: bool | None = None) -> Step:
        dice = self._dice
        kind = dice.randrange(20)
        parts: list[Any] = LARGE_PARTS if kind == 0 else ODD_PARTS if kind == 1 else PARTS
        return ("send", dice.choice(parts), dice.randrange(3) == 0 if last is None else last)

    def _finish(self) -> Step:
        dice = self._dice
        if dice.randrange(3):
            return ("finish", dice.choice(USUAL_TRAILERS))
        return ("finish", self._fields())

    def _file(self) -> Step:
        return (
            "file",
            self._dice.choice([0, 3, 10**6]),
            self._dice.choice([0, 5, 5, 140_000, 300_000]),
        )

    def _when_gone(self) -> Step:
        return ("when_gone", self._dice.choice(IN_CALLBACKS))

    def _body(self) -> Script:
        kind = self._dice.randrange(10)
        if kind < 2:
            return [self._send(last=True)]
        if kind > 7:  # it answers while it reads
            return [self._send(last=False), self._dice.choice([PULL, READ]), self._finish()]
        if kind == 2:
            return [self._finish()]
        if kind == 3:
            return [self._send(), self._finish()]
        if kind == 4:
            return [self._send(), ROOM, self._send(last=True)]
        if kind == 5:
            return [self._send(), HOLD, self._send(), READ, self._finish()]
        return [self._file()] if kind == 6 else [self._send(), self._file()]


# --- what comes of it -----------------------------------------------------------------------------


def _file() -> int:
    fd = os.memfd_create("body")
    os.write(fd, bytes(range(250)) * 1000)
    return fd


FILE = _file()
FAULTS_OF_TYPE = (TypeError, ValueError, OverflowError)  # of what is no pair, no number, no list


class Actor:
    """The application of a connection: one script for each of its exchanges, in turn."""

    def __init__(self, scripts: list[Script], note: Callable[..., None]) -> None:
        self._scripts = scripts
        self._note = note
        self._calls = 0
        self._files = (
            0  # that are being sent: meanwhile the response is not the script's to go on with
        )
        self._held: list[Callable[[], None]] = []

    def go(self) -> None:
        """Whatever held the application up is over."""
        held, self._held = self._held, []
        for wake in held:
            wake()

    def __call__(self, exchange: Exchange) -> Playing:
        number = self._calls
        self._calls += 1
        for step in self._scripts[number % len(self._scripts)]:
            result: Any
            try:
                result = yield from self._play(number, exchange, step)
            except (ApplicationError, RemoteError) as error:
                result = type(error).__name__, str(error)
            except FAULTS_OF_TYPE as error:
                result = type(error).__name__
            self._note(number, step[0], result, exchange.state, exchange.status, exchange.gone)

    def _play(self, number: int, exchange: Exchange, step: Step) -> Playing:
        verb, *args = step
        if verb == "read":
            return (yield from read_all(exchange))
        if verb == "part":
            while (part := exchange.pull()) is None:
                yield exchange.when_readable
            return part
        if verb == "hold":
            yield self._held.append
            return None
        if verb == "room":
            yield exchange.when_room
            return None
        if verb == "start":
            status, fields, container = args
            return exchange.start(status, fields if fields is None else container(fields))
        if verb == "file":
            return (yield from self._send_file(number, exchange, *args))
        if verb == "when_gone":
            exchange.when_gone(lambda: self._gone(number, exchange, *args))
            return None
        return getattr(exchange, verb)(*args)

    def _send_file(self, number: int, exchange: Exchange, offset: int, count: int) -> Playing:
        ends: list[bool] = []
        wakers: list[Callable[[], None]] = []

        def done(whole: bool) -> None:
            self._files -= 1
            self._note(number, "done", whole)
            ends.append(whole)
            for wake in wakers:
                wake()

        self._files += 1
        try:
            exchange.send_file(FILE, offset, count, done)
        except ApplicationError:
            self._files -= 1
            raise
        if not ends:
            yield wakers.append
        return ends

    def _gone(self, number: int, exchange: Exchange, step: Step | None) -> None:
        """A callback of the engine comes back into it."""
        result: Any = None
        if step is not None and (not self._files or step[0] in ("abort", "pull")):
            verb, *args = step
            try:
                result = getattr(exchange, verb)(*args)
            except (ApplicationError, RemoteError) as error:
                result = type(error).__name__, str(error)
        self._note(number, "gone", step, result)
