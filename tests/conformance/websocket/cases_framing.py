"""Sections 1 to 4: framing, Pings and Pongs, reserved bits, reserved opcodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.websocket.case import (
    THEY_FAIL,
    Case,
    Send,
    binary,
    close,
    framewise,
    octetwise,
    pong,
    text,
    together,
)
from tests.conformance.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.websocket.case import Way

HELLO = b"Hello, world!"
OCTETS = bytes.fromhex("00fffefdfcfb00ff")  # no UTF-8
UNASKED = b"unsolicited pong payload"
RESERVED = b"reserved opcode payload"

# --- 1: each length at which the form of the length changes, and in odd chops --------------------

SIZES = ((0, 0), (125, 0), (126, 0), (127, 0), (128, 0), (65535, 0), (65536, 0), (65536, 997))


def echoes() -> Iterator[Case]:
    """1.1 and 1.2."""
    for group, opcode, octet, event in ((1, TEXT, b"*", text), (2, BINARY, b"\xfe", binary)):
        for number, (size, chop) in enumerate(SIZES, 1):
            payload = octet * size
            yield Case(
                f"1.{group}.{number}",
                f"{'text' if opcode == TEXT else 'binary'} of {size} octets"
                + f", in writes of {chop}" * bool(chop),
                (Send((Frame(opcode, payload),), chop),),
                (event(payload),),
            )


# --- 2 -------------------------------------------------------------------------------------------


def ping_case(number: int, title: str, payload: bytes, send: Way = together) -> Case:
    """A Ping and its Pong."""
    return Case(f"2.{number}", title, send(Frame(PING, payload)), (pong(payload),))


TEN = tuple(b"payload-%d" % number for number in range(10))
TEN_PINGS = tuple(Frame(PING, payload) for payload in TEN)
TEN_PONGS = tuple(map(pong, TEN))

PINGS = (
    ping_case(1, "Ping without payload", b""),
    ping_case(2, "Ping with a text", HELLO),
    ping_case(3, "Ping with octets that are no text", OCTETS),
    ping_case(4, "Ping of 125 octets, the longest", b"\xfe" * 125),
    Case(
        "2.5",
        "Ping of 126 octets, too long",
        together(Frame(PING, b"\xfe" * 126)),
        closing=THEY_FAIL,
    ),
    ping_case(6, "Ping of 125 octets, octet by octet", b"\xfe" * 125, octetwise),
    Case("2.7", "Pong that nobody asked for, without payload", together(Frame(PONG), close())),
    Case("2.8", "Pong that nobody asked for", together(Frame(PONG, UNASKED), close())),
    Case(
        "2.9",
        "Pong that nobody asked for, then a Ping",
        together(Frame(PONG, UNASKED), Frame(PING, b"ping payload")),
        (pong(b"ping payload"),),
    ),
    Case("2.10", "ten Pings at once", together(*TEN_PINGS), TEN_PONGS),
    Case("2.11", "ten Pings, octet by octet", octetwise(*TEN_PINGS), TEN_PONGS),
)

# --- 3 and 4: a frame that is wrong in itself ----------------------------------------------------


def lone(case_id: str, title: str, frame: Frame) -> Case:
    """The wrong frame is the first."""
    return Case(case_id, title, together(frame), closing=THEY_FAIL)


def between(case_id: str, title: str, frame: Frame, send: Way = together) -> Case:
    """A text before it, which a strict server still echoes, and a Ping behind, which none answers."""
    moves = send(Frame(TEXT, HELLO), frame, Frame(PING))
    return Case(case_id, title, moves, (text(HELLO),), THEY_FAIL, non_strict=())


RESERVED_BITS = (
    lone("3.1", "text with RSV3", Frame(TEXT, HELLO, rsv=1)),
    between("3.2", "text, then one with RSV2, at once", Frame(TEXT, HELLO, rsv=2)),
    between(
        "3.3", "text, then one with RSV2 and 3, by frames", Frame(TEXT, HELLO, rsv=3), framewise
    ),
    between("3.4", "text, then one with RSV1, by octets", Frame(TEXT, HELLO, rsv=4), octetwise),
    lone("3.5", "binary with RSV1 and 3", Frame(BINARY, OCTETS, rsv=5)),
    # The suite calls this one a Ping, and sends a binary message.
    lone("3.6", "binary with RSV1 and 2", Frame(BINARY, HELLO, rsv=6)),
    lone("3.7", "Close with all reserved bits", Frame(CLOSE, rsv=7)),
)


def opcodes() -> Iterator[Case]:
    """4.1 and 4.2: reserved opcodes of messages and of control frames, the same way."""
    for group, first in ((1, 3), (2, 11)):
        yield lone(f"4.{group}.1", f"opcode {first}", Frame(first))
        yield lone(f"4.{group}.2", f"opcode {first + 1}, payload", Frame(first + 1, RESERVED))
        yield between(f"4.{group}.3", f"text, opcode {first + 2}, Ping", Frame(first + 2))
        title = "text, opcode {}, payload, Ping"
        yield between(f"4.{group}.4", title.format(first + 3), Frame(first + 3, HELLO))
        title += ", by octets"
        yield between(f"4.{group}.5", title.format(first + 4), Frame(first + 4, HELLO), octetwise)


CASES = (*echoes(), *PINGS, *RESERVED_BITS, *opcodes())
