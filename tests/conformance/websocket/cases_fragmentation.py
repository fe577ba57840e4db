"""Section 5: messages in several frames, with control frames in between, and what goes wrong there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.websocket.case import (
    THEY_FAIL,
    Await,
    Case,
    Event,
    Move,
    framewise,
    octetwise,
    pong,
    text,
    together,
)
from tests.conformance.websocket.frames import CONTINUATION, PING, PONG, TEXT, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.websocket.case import Way

WAYS = ((together, "at once"), (framewise, "by frames"), (octetwise, "by octets"))
HELLO, PING_PAYLOAD = b"Hello, world!", b"ping payload"
LONELY = b"non-continuation payload"


def part(number: int, opcode: int = CONTINUATION, *, fin: bool = False) -> Frame:
    """The frame that says "fragment<number>"."""
    return Frame(opcode, b"fragment%d" % number, fin)


def wrong(number: int, title: str, moves: tuple[Move, ...], *events: Event) -> Case:
    """The server has to fail the connection; `events` are what a strict one sends before."""
    strict = () if events else None
    return Case(f"5.{number}", title, moves, events, THEY_FAIL, non_strict=strict)


def in_three_ways(
    first: int, title: str, frames: tuple[Frame, ...], *events: Event
) -> Iterator[Case]:
    """Three cases of a good message, which differ in how the octets are written."""
    for number, (send, way) in enumerate(WAYS, first):
        yield Case(f"5.{number}", f"{title}, {way}", send(*frames), events)


def lonely_in_three_ways(first: int, *, fin: bool) -> Iterator[Case]:
    """Three cases of a continuation of nothing, with a good message behind."""
    frames = (Frame(CONTINUATION, LONELY, fin), Frame(TEXT, HELLO))
    title = f"continuation of nothing, {'final' if fin else 'not final'}, then a text"
    for number, (send, way) in enumerate(WAYS, first):
        yield wrong(number, f"{title}, {way}", send(*frames))


def continued(number: int, send: Way, way: str) -> Case:
    """Five fragments, two Pings: the first is answered before the rest is sent."""
    moves = (
        *send(part(1, TEXT), part(2), Frame(PING, b"pongme 1!")),
        Await(1),
        *send(part(3), part(4), Frame(PING, b"pongme 2!"), part(5, fin=True)),
    )
    whole = text(b"".join(b"fragment%d" % number for number in range(1, 6)))
    events = (pong(b"pongme 1!"), pong(b"pongme 2!"), whole)
    return Case(f"5.{number}", f"five fragments and two Pings in between, {way}", moves, events)


TWO = (part(1, TEXT), part(2, fin=True))
WHOLE = text(b"fragment1fragment2")
WITH_PING = (TWO[0], Frame(PING, PING_PAYLOAD), TWO[1])
NOTHING_TO_CONTINUE = "continuation of nothing, {}, then a text in two fragments, twice"


def headless(fin: bool) -> tuple[Move, ...]:
    """Twice a continuation of nothing with a good message behind it."""
    return together(*(part(1, fin=fin), part(2, TEXT), part(3, fin=True)) * 2)


CASES = (
    wrong(1, "Ping in two fragments", together(part(1, PING), part(2, fin=True))),
    wrong(2, "Pong in two fragments", together(part(1, PONG), part(2, fin=True))),
    *in_three_ways(3, "text in two fragments", TWO, WHOLE),
    *in_three_ways(6, "text in two, Ping in between", WITH_PING, pong(PING_PAYLOAD), WHOLE),
    *lonely_in_three_ways(9, fin=True),
    *lonely_in_three_ways(12, fin=False),
    wrong(
        15,
        "text in two fragments, then a continuation of nothing and a text",
        together(*TWO, part(3), part(4, TEXT, fin=True)),
        WHOLE,
    ),
    wrong(16, NOTHING_TO_CONTINUE.format("not final"), headless(fin=False)),
    wrong(17, NOTHING_TO_CONTINUE.format("final"), headless(fin=True)),
    wrong(18, "text begun twice", together(part(1, TEXT), part(2, TEXT, fin=True))),
    continued(19, together, "at once"),
    continued(20, framewise, "by frames"),
)
