"""Sections 12 and 13: permessage-deflate, with different data and with different parameters.

All offers of the suite let the server ask for client_no_context_takeover, and leave it the client's
window. So there is a section 14 of our own: memory across messages in both directions, all windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conformance.websocket.case import Case, Echo
from tests.conformance.websocket.corpus import Body, bodies
from tests.conformance.websocket.deflate import Offer
from tests.conformance.websocket.frames import BINARY, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

# Size of a message (characters of a text), size of the frames that its compressed form is sent in
# (0: one), and the time for all messages of the case.
GRID = (
    (16, 0, 60),
    (64, 0, 60),
    (256, 0, 120),
    (1024, 0, 240),
    (4096, 0, 480),
    (8192, 0, 480),
    (16384, 0, 480),
    (32768, 0, 480),
    (65536, 0, 480),
    (131072, 0, 480),
    (8192, 256, 480),
    (16384, 256, 480),
    (32768, 256, 480),
    (65536, 256, 480),
    (131072, 256, 480),
    (131072, 1024, 480),
    (131072, 4096, 480),
    (131072, 32768, 480),
)

OFFERS = (
    (Offer(),),
    (Offer(alone=True),),
    (Offer(bits=9),),
    (Offer(bits=15),),
    (Offer(alone=True, bits=9),),
    (Offer(alone=True, bits=15),),
    (Offer(alone=True, bits=9), Offer(alone=True), Offer()),
)

OUR_GRID = ((256, 0, 60), (4096, 0, 60), (65536, 1024, 120))
OUR_OFFERS = (
    (Offer(we_alone=False, our_bits=None),),
    *((Offer(we_alone=False, our_bits=bits),) for bits in range(9, 16)),
    *((Offer(we_alone=False, our_bits=bits, bits=bits),) for bits in range(9, 16)),
)


@dataclass(frozen=True)
class Slices:
    """Messages from a body of data, one behind the other and round and round.

    Attributes:
        body: the data.
        size: of each, in the body's units.
        fragment: size of the frames.
        count: how many.
    """

    body: Body
    size: int
    fragment: int
    count: int

    def __iter__(self) -> Iterator[Echo]:
        data, start = self.body.data, 0
        for _ in range(self.count):
            stop = (start + self.size) % len(data)
            part = data[start:stop] if stop > start else (data * 2)[start : stop + len(data)]
            start = stop
            opcode, payload = (TEXT, part.encode()) if isinstance(part, str) else (BINARY, part)
            yield Echo(opcode, payload, len(payload), self.fragment)


def grid(
    group: str,
    name: str,
    body: Body,
    offers: tuple[Offer, ...],
    count: int,
    sizes: tuple[tuple[int, int, int], ...] = GRID,
) -> Iterator[Case]:
    """The cases of one group."""
    for number, (size, fragment, seconds) in enumerate(sizes, 1):
        frames = f" in frames of {fragment}" if fragment else ""
        title = f"{name}, {count} messages of {size}{frames}"
        moves = Slices(body, size, fragment, count)
        yield Case(f"{group}.{number}", title, moves, offers=offers, seconds=seconds)


def cases(count: int) -> Iterator[Case]:
    """All of them.

    Args:
        count: messages of each case.
    """
    for number, body in enumerate(bodies(), 1):
        yield from grid(f"12.{number}", body.name, body, (Offer(),), count)
    for number, offers in enumerate(OFFERS, 1):
        name = " | ".join(
            f"{'alone' if offer.alone else 'together'}, {offer.bits or 'any'} bits"
            for offer in offers
        )
        yield from grid(f"13.{number}", name, bodies()[0], offers, count)
    for number, offers in enumerate(OUR_OFFERS, 1):
        name = str(offers[0]).partition("; ")[2] or "no parameters"
        yield from grid(f"14.{number}", name, bodies()[0], offers, count, OUR_GRID)
