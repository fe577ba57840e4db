"""Sections 9 and 10: large messages, many fragments, small writes, many round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.websocket.case import Case, Echo
from tests.conformance.websocket.frames import BINARY, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

KIB, MIB = 1 << 10, 1 << 20
UNITS = {TEXT: b"BAsd7&jh23", BINARY: bytes.fromhex("00fe23faf0")}
STARS = {TEXT: b"*", BINARY: b"\xfe"}
KINDS = {TEXT: "text", BINARY: "binary"}

SIZES = (64 * KIB, 256 * KIB, 1 * MIB, 4 * MIB, 8 * MIB, 16 * MIB)
FRAGMENTS = (64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB)
CHOPS = (64, 128, 256, 512, KIB, 2 * KIB)
# Payload size of a round trip, and the time for all of them.
TRIPS = ((0, 60), (16, 60), (64, 60), (256, 120), (KIB, 240), (4 * KIB, 480))

SECONDS = 100  # for one message


def shown(size: int) -> str:
    """A size as people write it."""
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} octets"


def large(first: int, opcode: int) -> Iterator[Case]:
    """9.1 to 9.6, of one kind of message: sizes, fragments, chops in groups `first` + 0, 2, 4."""
    kind, unit = KINDS[opcode], UNITS[opcode]

    def case(group: int, number: int, title: str, echo: Echo) -> Case:
        return Case(f"9.{first + group}.{number}", f"{kind} {title}", (echo,), seconds=SECONDS)

    for number, size in enumerate(SIZES, 1):
        yield case(0, number, f"of {shown(size)}", Echo(opcode, unit, size))
    for number, size in enumerate(FRAGMENTS, 1):
        echo = Echo(opcode, STARS[opcode], 4 * MIB, fragment=size)
        yield case(2, number, f"of 4 MiB in fragments of {shown(size)}", echo)
    for number, size in enumerate(CHOPS, 1):
        echo = Echo(opcode, unit, MIB, chop=size)
        yield case(4, number, f"of 1 MiB in writes of {shown(size)}", echo)


def trips(group: int, opcode: int, count: int) -> Iterator[Case]:
    """9.7 or 9.8."""
    for number, (size, seconds) in enumerate(TRIPS, 1):
        title = f"{count} {KINDS[opcode]}s of {shown(size)}, one after the other"
        echoes = (Echo(opcode, STARS[opcode], size),) * count
        yield Case(f"9.{group}.{number}", title, echoes, seconds=seconds)


def cases(count: int) -> Iterator[Case]:
    """All of them.

    Args:
        count: messages of each case of 9.7 and 9.8.
    """
    yield from large(1, TEXT)
    yield from large(2, BINARY)
    yield from trips(7, TEXT, count)
    yield from trips(8, BINARY, count)
    # 50 fragments of 1300 octets and one of 536. In the suite it is about the sender, here it is
    # one more fragmented message.
    echo = Echo(TEXT, b"*", 64 * KIB, fragment=1300)
    yield Case("10.1.1", "text of 64 KiB in fragments of 1300 octets", (echo,))
