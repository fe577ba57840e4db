"""A case as data: what is sent, what has to come back, and how the connection has to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.websocket.frames import CLOSE, TEXT, Frame, close_payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conformance.websocket.deflate import Offer

NORMAL, GOING_AWAY, PROTOCOL_ERROR, INVALID_PAYLOAD = 1000, 1001, 1002, 1007

FULL_COUNT = 1000  # messages of one case of the heavy grids, as in the suite
QUICK_COUNT = 10  # the same grids, sizes and parameters with fewer messages


class Event(NamedTuple):
    """What has come from the server, or has not."""

    kind: str
    payload: bytes = b""

    def __str__(self) -> str:
        size = len(self.payload)
        if size > 24:
            return f"{self.kind} of {size} octets"
        return (
            f"{self.kind} {self.payload!r}"
            if size or self.kind in ("text", "binary")
            else self.kind
        )


def text(payload: bytes) -> Event:
    """A text message."""
    return Event("text", payload)


def binary(payload: bytes) -> Event:
    """A binary message."""
    return Event("binary", payload)


def pong(payload: bytes) -> Event:
    """A Pong. Pings of the server are allowed at any time: they are answered and are no events."""
    return Event("pong", payload)


def still_open(watch: str) -> Event:
    """The server had nothing to object to until this watch was over."""
    return Event("still open", watch.encode())


SILENCE = Event("silence")  # what was awaited has not come


# --- moves ---------------------------------------------------------------------------------------


class Send(NamedTuple):
    """Frames in one write; or, with a chop, in writes of that many octets.

    Attributes:
        apart: a moment passes behind each write, so that the server may see them one by one.
    """

    frames: tuple[Frame, ...]
    chop: int = 0
    apart: bool = False


class Piece(NamedTuple):
    """A part of one frame: these octets of its payload, the first of them with the head."""

    frame: Frame
    start: int
    stop: int


class Await(NamedTuple):
    """Go on when there are so many events."""

    events: int


class Watch(NamedTuple):
    """Watch the server; note it when the connection is still open at the end.

    Attributes:
        name: the name of the note.
        brief: nothing should happen, so a moment is enough; else the server is given all its time.
    """

    name: str
    brief: bool = False


class Echo(NamedTuple):
    """Send a message and go on when the very same has come back; that makes no event.

    Attributes:
        opcode: TEXT or BINARY.
        unit: what the payload consists of, over and over.
        size: of the payload, in octets.
        fragment: size of its frames; 0 is one frame.
        chop: size of the writes; 0 is one write.
    """

    opcode: int
    unit: bytes
    size: int
    fragment: int = 0
    chop: int = 0

    @property
    def payload(self) -> bytes:
        whole, rest = divmod(self.size, len(self.unit) or 1)
        return self.unit * whole + self.unit[:rest]

    @property
    def event(self) -> Event:
        return text(self.payload) if self.opcode == TEXT else binary(self.payload)


Move = Send | Piece | Await | Watch | Echo


Way = Callable[..., tuple[Move, ...]]  # of writing frames: one of the three that follow


def together(*frames: Frame) -> tuple[Move, ...]:
    """All of them in one write."""
    return (Send(frames),)


def framewise(*frames: Frame) -> tuple[Move, ...]:
    """One write for each."""
    return tuple(Send((frame,), apart=True) for frame in frames)


def octetwise(*frames: Frame) -> tuple[Move, ...]:
    """One write for each octet."""
    return (Send(frames, chop=1, apart=True),)


def close(code: int | None = NORMAL, reason: bytes = b"") -> Frame:
    """A Close frame."""
    return Frame(CLOSE, close_payload(code, reason))


# --- how it ends ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Closing:
    """How the connection has to end.

    Attributes:
        by_us: whose Close frame has to be the first. When it is ours and no move sends one, it is
            sent at the end, with the first of the codes.
        codes: those that the server's Close frame may have; none at all is always allowed.
        clean: both Close frames have to be seen, and the server has to drop the TCP connection.
        fatal: the wrong side's closing fails the behaviour too: the server did not notice at all.
        code_counts: a wrong code fails the behaviour too.
    """

    by_us: bool
    codes: tuple[int, ...]
    clean: bool
    fatal: bool = False
    code_counts: bool = False


WE_CLOSE = Closing(by_us=True, codes=(NORMAL,), clean=True)
THEY_FAIL = Closing(by_us=False, codes=(PROTOCOL_ERROR,), clean=False)
THEY_REFUSE_TEXT = Closing(by_us=False, codes=(INVALID_PAYLOAD,), clean=False, fatal=True)


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        id: the suite's.
        title: what it is about.
        moves: what is done, in order; may be made while it is gone through, if that can be repeated.
        events: what has to come from the server for OK.
        closing: how the connection has to end.
        non_strict: what comes from a server that is right, but not strict; None where none could.
        offers: of permessage-deflate, in order of preference; the server has to take one.
        seconds: after which the case is over in any case.
        informational: the suite takes whatever happens; we want an end, and no wrong frame.
    """

    id: str
    title: str
    moves: Iterable[Move]
    events: tuple[Event, ...] = ()
    closing: Closing = WE_CLOSE
    non_strict: tuple[Event, ...] | None = None
    offers: tuple[Offer, ...] = ()
    seconds: float = field(default=60.0)
    informational: bool = False


def is_in(case: Case, chosen: str) -> bool:
    """`chosen` names the case or a group that it is in: "5", "5.", "12.1", "12.1.3"."""
    return f"{case.id}.".startswith(f"{chosen.rstrip('.')}.")
