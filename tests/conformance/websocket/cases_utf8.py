"""Section 6: text that is UTF-8, and text that is not, down to the octet that shows it.

The sequences of 6.5 to 6.23 are those that Markus Kuhn made up for testing decoders
(https://www.cl.cam.ac.uk/~mgk25/ucs/examples/UTF-8-test.txt). Which of them are valid is told by
Python's decoder, which follows RFC 3629.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.conformance.websocket.case import (
    THEY_REFUSE_TEXT,
    Case,
    Event,
    Move,
    Piece,
    Watch,
    still_open,
    text,
    together,
)
from tests.conformance.websocket.frames import CONTINUATION, TEXT, Frame, fragments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KOSME = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()  # 11 octets; the Greek word of Kuhn's file
SURROGATE = b"\xed\xa0\x80"
BEYOND = b"\xf4\x90\x80\x80"  # what U+110000 would be: wrong from its second octet on
EDITED = b"edited"
UMLAUTS = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!".encode()
CUT = "Hello-\u00b5@\u00df\u00f6\u00e4".encode()  # of UMLAUTS, between two characters


def split(payload: bytes, *cuts: int) -> tuple[Frame, ...]:
    """A text in as many frames as the cuts make."""
    edges = (0, *cuts, len(payload))
    parts = [payload[start:stop] for start, stop in pairwise(edges)]
    last = len(parts) - 1
    return tuple(
        Frame(CONTINUATION if number else TEXT, part, number == last)
        for number, part in enumerate(parts)
    )


def by_octets(payload: bytes) -> tuple[Frame, ...]:
    """A text in frames of one octet."""
    return tuple(fragments(Frame(TEXT, payload), 1))


# --- 6.1 to 6.3 ----------------------------------------------------------------------------------


def good(case_id: str, title: str, frames: Iterable[Frame]) -> Case:
    """A text that is echoed."""
    frames = tuple(frames)
    whole = b"".join(frame.payload for frame in frames)
    return Case(case_id, title, together(*frames), (text(whole),))


def bad(case_id: str, title: str, frames: Iterable[Frame]) -> Case:
    """A text that is refused."""
    return Case(case_id, title, together(*frames), closing=THEY_REFUSE_TEXT)


MIDDLE = b"middle frame payload"
PLAIN = (
    good("6.1.1", "text of no octets", split(b"")),
    good("6.1.2", "text of three empty fragments", split(b"", 0, 0)),
    good("6.1.3", "text between two empty fragments", split(MIDDLE, 0, len(MIDDLE))),
    good("6.2.1", "text beyond ASCII", split(UMLAUTS)),
    good("6.2.2", "text beyond ASCII, cut between characters", split(UMLAUTS, len(CUT))),
    good("6.2.3", "text beyond ASCII, in frames of one octet", by_octets(UMLAUTS)),
    good("6.2.4", "Greek text, in frames of one octet", by_octets(KOSME)),
    bad("6.3.1", "surrogate in a text", split(KOSME + SURROGATE + EDITED)),
    bad("6.3.2", "surrogate, in frames of one octet", by_octets(KOSME + SURROGATE + EDITED)),
)

# --- 6.4: the connection fails at the octet that makes it wrong, not at the end of the message ----

BROKEN = KOSME + BEYOND + EDITED


def fail_fast(number: int, title: str, first: Move, second: Move, *rest: Move) -> Case:
    """Valid so far; then what makes it wrong; then the rest, for servers that do not fail fast."""
    accepted: tuple[Event, ...] = (still_open("A"),)
    return Case(
        f"6.4.{number}",
        title,
        (first, Watch("A", brief=True), second, Watch("B"), *rest),
        accepted,
        THEY_REFUSE_TEXT,
        non_strict=(*accepted, still_open("B")),
    )


def in_frames(number: int, title: str, *cuts: int) -> Case:
    """The text in three frames."""
    first, second, third = (together(frame)[0] for frame in split(BROKEN, *cuts))
    return fail_fast(number, title, first, second, third)


def in_writes(number: int, title: str, *cuts: int) -> Case:
    """The text in three writes of one frame; an empty one ends the message."""
    frame = Frame(TEXT, BROKEN, fin=False)
    edges = (0, *cuts, len(BROKEN))
    first, second, third = (Piece(frame, start, stop) for start, stop in pairwise(edges))
    return fail_fast(number, title, first, second, third, *together(Frame(CONTINUATION)))


WHOLE_CHARACTER = (len(KOSME), len(KOSME + BEYOND))
WRONG_OCTET = (len(KOSME) + 1, len(KOSME) + 2)
FAIL_FAST = (
    in_frames(1, "code point beyond Unicode in a frame of its own", *WHOLE_CHARACTER),
    in_frames(2, "its wrong octet in a frame of its own", *WRONG_OCTET),
    in_writes(3, "code point beyond Unicode in a write of its own", *WHOLE_CHARACTER),
    in_writes(4, "its wrong octet in a write of its own", *WRONG_OCTET),
)

# --- 6.5 to 6.23 ---------------------------------------------------------------------------------


def hexes(line: str) -> list[bytes]:
    """Octet sequences from hexadecimal words."""
    return [bytes.fromhex(word) for word in line.split()]


def starts(first: int, last: int) -> bytes:
    """Each octet of a range, the last excepted as in the suite, with a space behind it."""
    return b"".join(bytes((octet, 0x20)) for octet in range(first, last))


UNFINISHED = hexes("c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf")
HIGH = hexes("eda080 edadbf edae80 edafbf")  # high surrogates
LOW = hexes("edb080 edbfbf")
NONCHARACTERS = [  # the last two code points of each plane
    chr(plane << 16 | low).encode() for plane in range(17) for low in (0xFFFE, 0xFFFF)
]

GROUPS: tuple[tuple[str, list[bytes]], ...] = (
    (
        "valid",
        [b"hello" + char.encode() + b"world" for char in "$\u00a2\u20ac\U00024b62"] + [KOSME],
    ),
    ("cut short", [KOSME[:size] for size in range(1, len(KOSME) + 1)]),
    ("first of its length", hexes("00 c280 e0a080 f0908080")),
    ("first of 5 or 6 octets", hexes("f888808080 fc8480808080")),
    ("last of its length", hexes("7f dfbf efbfbf f48fbfbf")),
    ("last of 4, 5 or 6 octets", hexes("f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf")),
    ("at a border", hexes("ed9fbf ee8080 efbfbd f48fbfbf f4908080")),
    (
        "unexpected continuation",
        [*hexes("80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf"), bytes(range(0x80, 0xBF))],
    ),
    (
        "lonely start",
        [
            starts(*bounds)
            for bounds in (
                (0xC0, 0xDF),
                (0xE0, 0xEF),
                (0xF0, 0xF7),
                (0xF8, 0xFB),
                (0xFC, 0xFD),
            )
        ],
    ),
    ("last octet missing", UNFINISHED),
    ("last octets missing, one after the other", [b"".join(UNFINISHED)]),
    ("impossible octet", hexes("fe ff fefeffff")),
    ("overlong slash", hexes("c0af e080af f08080af f8808080af fc80808080af")),
    ("longest overlong", hexes("c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf")),
    ("overlong NUL", hexes("c080 e08080 f0808080 f880808080 fc8080808080")),
    ("surrogate", [*HIGH, *hexes("edb080 edbe80 edbfbf")]),
    ("pair of surrogates", [high + low for high in HIGH for low in LOW]),
    ("noncharacter", NONCHARACTERS),
    ("special", [chr(code).encode() for code in range(0xFFF9, 0x10000)]),
)


def is_text(octets: bytes) -> bool:
    """They are UTF-8."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def sequences() -> Iterator[Case]:
    """6.5 and following: one sequence each, in one frame."""
    for group, (name, members) in enumerate(GROUPS, 5):
        for number, octets in enumerate(members, 1):
            make, kind = (good, "text") if is_text(octets) else (bad, "no text")
            shown = octets.hex() if len(octets) <= 12 else f"{octets[:12].hex()}..."
            yield make(f"6.{group}.{number}", f"{kind}, {name}: {shown}", split(octets))


CASES = (*PLAIN, *FAIL_FAST, *sequences())
