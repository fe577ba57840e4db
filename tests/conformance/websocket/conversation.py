"""Plays a case: sends what it says, keeps what comes, ends the connection, has it judged."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from tests.conformance.websocket.case import (
    GOING_AWAY,
    NORMAL,
    SILENCE,
    Await,
    Case,
    Echo,
    Event,
    Move,
    Piece,
    Send,
    Watch,
    close,
    still_open,
)
from tests.conformance.websocket.client import Client, Silence, Target
from tests.conformance.websocket.deflate import Codec
from tests.conformance.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    TEXT,
    Frame,
    Reader,
    Violation,
    decode,
    encode,
    fragments,
    head,
    mask,
    parse_close,
)
from tests.conformance.websocket.verdict import Record, Report, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.websocket.deflate import Agreement

APART_S = 0.001  # between two writes: a chance for the server to read, and no promise that it does
GLANCE_S = 0.2  # a watch in which nothing should happen: longer makes no case any stricter
PIECE_KEY = b"\x37\xfa\x21\x3d"  # a frame in pieces has one mask, so all pieces have it


def run(case: Case, target: Target) -> Report:
    """Play a case.

    Raises:
        OSError: the server can not be reached at all.
    """
    seen = Record()
    with Client(target, case.seconds) as client:
        try:
            agreed, early = client.open(case.offers)
            seen.opened = True
            seen.declined = bool(case.offers) and agreed is None
            conversation = Conversation(client, case, seen, agreed)
            conversation.hear(early)
            conversation.play()
        except Violation as violation:
            seen.fault = str(violation)
        except Silence:
            if not seen.opened:
                seen.fault = "no answer to the opening handshake"
            else:
                seen.dropped_by_us = True
    return judge(case, seen)


class Conversation:
    """One case on one open connection.

    Args:
        client: the connection.
        case: what to play.
        seen: what is seen goes there.
        agreed: on permessage-deflate; None without it.
    """

    def __init__(self, client: Client, case: Case, seen: Record, agreed: Agreement | None) -> None:
        self._client = client
        self._case = case
        self._seen = seen
        self._codec = None if agreed is None else Codec(agreed)
        self._reader = Reader(compressed=self._codec is not None)
        self._keys = random.Random(case.id)  # a case sends the same octets each time
        self._opcode, self._rsv = CONTINUATION, 0  # of the message that is coming
        self._parts: list[bytes] = []
        self._owed: list[bytes] = []  # Pongs, to be sent where a frame of ours may begin
        self._we_closed = False
        self._they_closed = False
        self._given_up = False

    def play(self) -> None:
        """All moves, then the end."""
        if not self._seen.declined:
            for move in self._case.moves:
                if self._client.ended or self._given_up:
                    break
                self._do(move)
        self._finish()

    # --- moves ----------------------------------------------------------------------------------

    def _do(self, move: Move) -> None:
        match move:
            case Send(frames, chop, apart):
                self._send(frames, chop, apart)
            case Piece(frame, start, stop):
                first = b"" if start else head(frame, PIECE_KEY)
                octets = first + mask(frame.payload, PIECE_KEY)[start:stop]
                self._client.write(octets, self.hear)
            case Await(events):
                self._await_events(events)
            case Watch(name, brief):
                self._watch(name, brief)
            case Echo():
                self._echo(move)

    def _send(self, frames: tuple[Frame, ...], chop: int = 0, apart: bool = False) -> None:
        if self._owed and not self._we_closed:
            frames = (*(Frame(PONG, payload) for payload in self._owed), *frames)
        self._owed = []
        octets = b"".join(encode(frame, self._keys.randbytes(4)) for frame in frames)
        if any(frame.opcode == CLOSE and not frame.rsv for frame in frames):
            self._seen.closed_by_us |= not (self._they_closed or self._we_closed)
            self._we_closed = True
        for start in range(0, len(octets), chop or len(octets)):
            self._client.write(octets[start : start + (chop or len(octets))], self.hear)
            if apart:
                self._listen(lambda: False, time.monotonic() + APART_S)

    def _await_events(self, count: int) -> None:
        if not self._listen(lambda: len(self._seen.events) >= count):
            self._seen.events.append(SILENCE)
            self._given_up = True

    def _watch(self, name: str, brief: bool) -> None:
        until = time.monotonic() + GLANCE_S if brief else None
        if not self._listen(lambda: self._they_closed, until) and not self._client.ended:
            self._seen.events.append(still_open(name))

    def _echo(self, move: Echo) -> None:
        events, wanted = self._seen.events, move.event
        payload, rsv = wanted.payload, 0
        if self._codec is not None:
            payload, rsv = self._codec.compress(payload), RSV1
        message = Frame(move.opcode, payload, rsv=rsv)
        self._send(tuple(fragments(message, move.fragment)), move.chop)
        self._await_events(1)
        if events[0] == wanted:
            del events[0]
        else:
            events.insert(0, Event(f"no echo of {wanted}"))
            self._given_up = True

    # --- what comes -----------------------------------------------------------------------------

    def _listen(self, until: Callable[[], bool], deadline: float | None = None) -> bool:
        """Read until that is true; False when it can not become so, or not in time."""
        while not until():
            if self._they_closed and deadline is None:
                return False
            try:
                data = self._client.read(deadline)
            except Silence:
                return until()
            if not data:
                return until()
            self.hear(data)
        return True

    def hear(self, data: bytes) -> None:
        """Take octets of the server.

        Raises:
            Violation: they are none that a server may send.
        """
        for frame in self._reader.feed(data):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.opcode == CLOSE:
            self._seen.code = parse_close(frame.payload)
            self._they_closed = True
        elif frame.opcode == PING:
            self._owed.append(frame.payload)
        elif frame.opcode == PONG:
            self._seen.events.append(Event("pong", frame.payload))
        else:
            self._take_data(frame)

    def _take_data(self, frame: Frame) -> None:
        if self._they_closed:
            raise Violation("a data frame behind its Close (section 5.5.1)")
        if (frame.opcode == CONTINUATION) != bool(self._opcode):
            raise Violation(f"opcode {frame.opcode} out of turn (section 5.4)")
        if frame.opcode:
            self._opcode, self._rsv = frame.opcode, frame.rsv
        self._parts.append(frame.payload)
        if not frame.fin:
            return
        payload = b"".join(self._parts)
        if self._rsv and self._codec is not None:
            payload = self._codec.decompress(payload)
        if self._opcode == TEXT:
            decode(payload, "a text")
        self._seen.events.append(Event("binary" if self._opcode == BINARY else "text", payload))
        self._opcode, self._parts = CONTINUATION, []

    # --- the end --------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Close as the case wants it, or as soon as the server does; see who drops the connection."""
        if self._case.closing.by_us and not self._we_closed and not self._seen.declined:
            self._listen(lambda: len(self._seen.events) >= len(self._case.events))
        elif not self._case.closing.by_us:
            self._listen(lambda: self._they_closed)
        if not self._client.ended and not self._we_closed:
            code = self._case.closing.codes[0] if self._case.closing.by_us else GOING_AWAY
            self._send((close(self._seen.code or NORMAL if self._they_closed else code),))
        self._listen(lambda: self._they_closed)
        self._seen.answered = self._we_closed and self._they_closed
        while data := self._client.read():
            self.hear(data)
