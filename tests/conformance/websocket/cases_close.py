"""Section 7: the closing handshake, Close frames of all kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.conformance.websocket.case import (
    INVALID_PAYLOAD,
    NORMAL,
    PROTOCOL_ERROR,
    WE_CLOSE,
    Case,
    Closing,
    Send,
    close,
    text,
    together,
)
from tests.conformance.websocket.cases_utf8 import EDITED, KOSME, SURROGATE
from tests.conformance.websocket.frames import CLOSE, CONTINUATION, PING, TEXT, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = b"Hello World!"
ORDERLY = replace(WE_CLOSE, code_counts=True)
# What is wrong with our Close may also be answered by dropping the TCP connection.
REFUSED = Closing(by_us=True, codes=(PROTOCOL_ERROR,), clean=False, code_counts=True)
BAD_REASON = replace(REFUSED, codes=(PROTOCOL_ERROR, INVALID_PAYLOAD))

MESSAGE = Frame(TEXT, HELLO)
LARGE = Frame(TEXT, (b"BAsd7&jh23" * 26215)[: 256 << 10])
FIRST, SECOND = Frame(TEXT, b"fragment1", fin=False), Frame(CONTINUATION, b"fragment2")


def closed(case_id: str, title: str, *frames: Frame, closing: Closing = ORDERLY) -> Case:
    """Frames at once, one of them a Close; nothing but a Close comes back."""
    return Case(case_id, title, together(*frames), closing=closing)


BASIC = (
    Case("7.1.1", "a text, then a Close", together(MESSAGE), (text(HELLO),), ORDERLY),
    closed("7.1.2", "two Closes", close(), Frame(CLOSE)),
    closed("7.1.3", "Ping behind a Close", close(), Frame(PING)),
    closed("7.1.4", "text behind a Close", close(), MESSAGE),
    closed("7.1.5", "Close between two fragments", FIRST, close(), SECOND),
    Case(
        "7.1.6",
        "two texts, the first of 256 KiB, a Close and a Ping",
        (Send((LARGE, MESSAGE, close(), Frame(PING))),),
        informational=True,
    ),
)

PAYLOADS = (
    closed("7.3.1", "Close without a code", close(None)),
    closed("7.3.2", "Close of one octet", close(None, b"a"), closing=REFUSED),
    closed("7.3.3", "Close with a code", close()),
    closed("7.3.4", "Close with a reason", close(NORMAL, HELLO)),
    closed("7.3.5", "Close with the longest reason", close(NORMAL, b"*" * 123)),
    closed("7.3.6", "Close with a reason too long", close(NORMAL, b"*" * 124), closing=REFUSED),
    closed(
        "7.5.1",
        "Close with a reason that is no text",
        close(NORMAL, KOSME + SURROGATE + EDITED),
        closing=BAD_REASON,
    ),
)

# What RFC 6455, section 7.4 and IANA's registry had when the suite was made.
VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
BEYOND = (5000, 65535)  # the RFC says nothing about them


def codes() -> Iterator[Case]:
    """7.7, 7.9 and 7.13."""
    for number, code in enumerate(VALID, 1):
        either = replace(ORDERLY, codes=(NORMAL, code))
        yield closed(f"7.7.{number}", f"Close with {code}", close(code), closing=either)
    for number, code in enumerate(INVALID, 1):
        yield closed(f"7.9.{number}", f"Close with {code}, invalid", close(code), closing=REFUSED)
    for number, code in enumerate(BEYOND, 1):
        title, moves = f"Close with {code}, undefined", together(close(code))
        either = Closing(by_us=True, codes=(NORMAL, code, PROTOCOL_ERROR), clean=False)
        yield Case(f"7.13.{number}", title, moves, closing=either, informational=True)


CASES = (*BASIC, *PAYLOADS, *codes())
