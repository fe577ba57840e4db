"""A connection from its first octet to its end, made up by the dice and played on an engine.

`perform` notes all that can be seen from outside, in the order in which it happens: what the
application sees and gets for its answers, what observers are told, and after every event what
the wire was asked for and when the endpoint wants to be woken. `outcome` keeps of it what must not
depend on packets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from granian_d.engine.contract import Leave
from tests.wire.harness import ENGINES, OPEN, Line, Record
from tests.wire.scripts import Actor, Author, Script
from tests.wire.streams import pieces, stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer

Event = tuple[str, Any]
Notes = list[tuple[Any, ...]]

LIMITS: list[dict[str, Any]] = [
    *[{}] * 30,
    {"head_bytes": 200, "head_fields": 4, "body_bytes": 12},
    {"head_bytes": 64},
    {"keep_alive": False},
    {"body_bytes": 65_536, "idle_timeout_s": 0.0, "body_timeout_s": 0.0},
    {"head_timeout_s": 0.0, "write_timeout_s": 0.0, "head_fields": 2},
    {"alt_svc": 'h3=":443"; ma=86400'},
]
EVENTS: list[Event] = [
    *[("go", None)] * 10,
    *[("wait", seconds) for seconds in (0.25, 1, 1, 5, 5, 10, 20, 45)],
    *[("take", octets) for octets in (1, 100, 3000, 10**6, 10**6)],
    *[("drain", seconds) for seconds in (0.0, 1.0, 15.0)],
    *[("eof", None), ("eof", None), ("lost", None), ("expire", None), ("room", None)],
]
_DATES = re.compile(rb"(?<=\r\ndate: )\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT(?=\r\n)")
_CONTINUE = re.compile(rb"HTTP/1\.1 100 Continue\r\n\r\n")


@dataclass
class Play:
    """One connection: what its peer, its applications and time do."""

    events: list[Event]
    scripts: list[Script]
    limits: dict[str, Any] = field(default_factory=dict)
    high_water: int | None = None
    scheme: str = "http"


def any_play(dice: Random) -> Play:
    """Anything that can happen to a connection."""
    events: list[Event] = [("feed", piece) for piece in pieces(dice, stream(dice))]
    for _ in range(dice.choice([0, 0, 0, 1, 1, 2, 3, 5])):
        events.insert(dice.randrange(len(events) + 1), dice.choice(EVENTS))
    events += [dice.choice(EVENTS) for _ in range(dice.randrange(4))]
    author = Author(dice)
    scripts = [author.any_script() for _ in range(1 + dice.randrange(3))]
    high_water = dice.choice([None, None, None, 10, 1000, 70_000])
    return Play(events, scripts, dice.choice(LIMITS), high_water, dice.choice(["http", "https"]))


def two_readings(dice: Random) -> tuple[Play, Play]:
    """Two plays that differ in their packets only."""
    data = stream(dice)
    author = Author(dice)
    scripts = [author.reader() for _ in range(1 + dice.randrange(2))]
    limits = dice.choice(LIMITS)
    end: list[Event] = dice.choice([[], [("eof", None)]])
    first, second = (
        Play([*(("feed", piece) for piece in pieces(dice, data)), *end], scripts, limits)
        for _ in range(2)
    )
    return first, second


class Witness(Record):
    """An observer that notes what it is told."""

    def __init__(self, note: Callable[..., None]) -> None:
        super().__init__()
        self._note = note

    def began(self, exchange: Exchange) -> None:
        super().began(exchange)
        head = exchange.head
        self._note(
            "began",
            *(head.method, head.raw_path, head.query, head.authority, head.version, head.fields),
            *(head.content_length, head.expects_continue, exchange.gone, exchange.peer.scheme),
        )

    def finished(self, exchange: Exchange) -> None:
        super().finished(exchange)
        number = self.begun.index(exchange)
        self._note("finished", number, exchange.state, exchange.status, exchange.sent_bytes)

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        super().crashed(exchange, error)
        self._note("crashed", self.begun.index(exchange), type(error), str(error))

    def refused(self, peer: Peer, violation: Any) -> None:
        super().refused(peer, violation)
        self._note("refused", type(violation), str(violation), violation.section)


class Performance:
    """One play on one engine."""

    def __init__(self, engine: str, play: Play) -> None:
        self.notes: Notes = []
        self.actor = Actor(play.scripts, self._note)
        self.line = Line(
            ENGINES[engine],
            self.actor,
            scheme=play.scheme,
            high_water=play.high_water,
            record=Witness(self._note),
            **play.limits,
        )
        self._ended = self._drained = self._lost = False
        for event in play.events:
            self._happen(*event)
            self._look(event[0])
        if not self._lost:
            self._happen("lost", None)
            self._look("end")
        assert self.line.record.over == self.line.record.begun

    def _note(self, *what: Any) -> None:
        self.notes.append((*what, self.line.wire.size))

    def _look(self, event: str) -> None:
        wire, endpoint = self.line.wire, self.line.endpoint
        self._note("after", event, wire.fate, wire.paused, endpoint.deadline)

    def _happen(self, event: str, value: Any) -> None:
        """Play one event, as far as a transport or an application could cause it now."""
        line = self.line
        if event == "go":
            self.actor.go()
        elif self._lost:
            return
        elif event == "lost":
            self._lost = True
            line.lost()
        elif line.fate != OPEN:
            return
        elif event == "feed" and not self._ended:
            line.feed(value)
        elif event == "eof" and not self._ended:
            self._ended = True
            line.eof()
        elif event == "wait":
            line.wait(value)
        elif event == "take" and line.wire.high_water is not None:
            line.take(value)
        elif event == "drain" and not self._drained:
            self._drained = True
            line.endpoint.drain(Leave(value))
        elif event == "expire":
            line.endpoint.expire()
        elif event == "room":
            line.endpoint.feed_room()

    @property
    def said(self) -> bytes:
        """All that was written, without what depends on the time of day."""
        return _DATES.sub(b"{date}", self.line.sent)


def perform(engine: str, play: Play) -> tuple[Notes, bytes]:
    """All that can be seen of a play."""
    performance = Performance(engine, play)
    return performance.notes, performance.said


def outcome(engine: str, play: Play) -> tuple[Notes, bytes]:
    """Of that, what packets must not change: not when something is seen, and no 100."""
    performance = Performance(engine, play)
    lasting = [note[:-1] for note in performance.notes if note[0] != "after"]
    return [*lasting, performance.notes[-1][:-2]], _CONTINUE.sub(b"", performance.said)
