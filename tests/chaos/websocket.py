"""Conversations over a WebSocket whose every message must come back."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from tests.chaos.http1 import PID, request
from tests.chaos.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.clients import Clients

UNDER_WAY = 4  # messages of one conversation
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of that key (RFC 6455 1.3)
FIELDS = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
SERVER_LEAVES = (1001, 1012)  # RFC 6455 7.4.1, and the registry of its codes
MOST_CONTROL = 125
MOST_CROSSING_S = 1.0  # a message that was sent longer before the Close came did not cross it


def masked(opcode: int, text: bytes) -> bytes:
    key = os.urandom(4)
    repeated = key * (len(text) // 4 + 1)
    pairs = zip(text, repeated, strict=False)
    return bytes((opcode, 0x80 | len(text))) + key + bytes(one ^ other for one, other in pairs)


class Conversation(Wire):
    """One of them; `done` is told when it is over."""

    kind = "websocket"

    def __init__(self, clients: Clients, done: Callable[[Conversation], None]) -> None:
        super().__init__(clients.reactor, clients.address())
        clients.ledger.connections += 1
        self._clients = clients
        self._ledger = clients.ledger
        self._done = done
        self._held = bytearray()
        self._sent: deque[tuple[int, float, bytes]] = deque()  # number, when, what; not yet back
        self._greeted = self._closing = False
        self._closing_since = 0.0
        self._ledger.under_way += 1  # the handshake is a request
        clients.asking.add(self)
        self.dial()
        self.say(request("/ws", *FIELDS))

    @property
    def room(self) -> bool:
        return self.open and self._greeted and not self._closing and len(self._sent) < UNDER_WAY

    def ask(self) -> None:
        number = self._clients.next_number()
        text = b"%d " % number + b"%x" % (number * 0x9E3779B97F4A7C15)
        self._ledger.under_way += 1
        self._sent.append((number, time.monotonic(), text))
        self.say(masked(TEXT, text))

    # --- what comes -----------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        self._held += data
        if not self._greeted and not self._greet():
            return
        while len(self._held) >= 2 and self.open:
            opcode, size = self._held[0], self._held[1]
            if size > MOST_CONTROL:
                self._fail(f"a frame of {size}, longer than any that was sent")
                return
            if len(self._held) < 2 + size:
                return
            body = bytes(self._held[2 : 2 + size])
            del self._held[: 2 + size]
            self._take(opcode, body)

    def _greet(self) -> bool:
        head, found, rest = bytes(self._held).partition(b"\r\n\r\n")
        if not found:
            return False
        pid = PID.search(head + b"\r\n")
        if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT not in head or not pid:
            self._fail(f"handshake answered {head[:200]!r}")
            return False
        self.pid = int(pid[1])
        self._greeted = True
        self._ledger.under_way -= 1
        self._held = bytearray(rest)
        return True

    def _take(self, opcode: int, body: bytes) -> None:
        if opcode == TEXT:
            if not self._sent or self._sent[0][2] != body:
                self._fail(f"an echo that is none: {body!r}")
                return
            _, when, _ = self._sent.popleft()
            self._ledger.answer(self.kind, when)
        elif opcode == PING:
            self.say(masked(PONG, body))
        elif opcode == CLOSE:
            self._heed(body)
        elif opcode != PONG:
            self._fail(f"an unexpected frame {opcode:#x}")

    def _heed(self, body: bytes) -> None:
        """The server says Close, or answers ours."""
        if self._closing:
            self._forget()
            self._ledger.apart["conversations we closed"] += 1
            return
        code = int.from_bytes(body[:2])
        self.tell(f"Close {code}")
        if code not in SERVER_LEAVES:
            self._fail(f"closed with {code} {body[2:]!r}")
            return
        now = time.monotonic()
        while self._sent and now - self._sent[-1][1] < MOST_CROSSING_S:
            self._sent.pop()
            self._ledger.under_way -= 1
            self._ledger.apart["messages that crossed a Close"] += 1
        self._ledger.apart[f"conversations closed with {code}"] += 1
        self.say(masked(CLOSE, body[:2]))
        if self._sent:
            self._fail("closed, messages unanswered")
        else:
            self._forget()

    def leave(self) -> None:
        """Close it, once all messages are back."""
        if self._greeted and not self._sent and self.open and not self._closing:
            self._closing, self._closing_since = True, time.monotonic()
            self._ledger.under_way += 1  # the Close wants an answer too
            self.say(masked(CLOSE, b"\x03\xe8"))

    def ended(self, how: str) -> None:
        self._fail(how)

    def overdue(self, now: float, patience_s: float) -> None:
        since = self._closing_since if self._closing else self.since
        if self._sent:
            since = self._sent[0][1]
        if (self._sent or not self._greeted or self._closing) and now - since > patience_s:
            self._fail("no answer in time")

    def _fail(self, why: str) -> None:
        """What is under way is lost; an end without a Close is a loss even if nothing was."""
        lost = [(number, when) for number, when, _ in self._sent]
        if not lost:
            lost = [(0, self.since)]
            if self._greeted and not self._closing:
                self._ledger.under_way += 1
        for number, when in lost:
            self._ledger.lose(self.kind, number, when, why, self)
        self._sent.clear()
        self._over()

    def _forget(self) -> None:
        if self._closing:
            self._ledger.under_way -= 1
        self._over()

    def _over(self) -> None:
        self.close()
        self._clients.asking.discard(self)
        self._done(self)
