"""Clients of HTTP/2: several streams at once, GOAWAY and REFUSED_STREAM heeded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hpack import Decoder

from tests.chaos.http1 import small_answer
from tests.chaos.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.clients import Clients

STREAMS = 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9  # of a frame (RFC 9113 4.1)
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
REFUSED_STREAM = 7
MOST_UNTOLD = 1 << 15  # octets of bodies, then the window is given back


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    head = len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + body


def fields(path: str) -> bytes:
    """GET, http and the path, from the static table (RFC 7541 A) and as they are (6.2.2)."""
    return b"\x82\x86\x01\x05chaos\x04" + bytes((len(path),)) + path.encode()


class Stream:
    """One request."""

    __slots__ = ("began", "body", "number", "status")

    def __init__(self, number: int) -> None:
        self.number = number
        self.began = time.monotonic()
        self.body = bytearray()
        self.status = ""


class Streams(Wire):
    """One connection; `done` is told when it is over."""

    kind = "h2"

    def __init__(self, clients: Clients, done: Callable[[Streams], None]) -> None:
        super().__init__(clients.reactor, clients.address())
        clients.ledger.connections += 1
        self._clients = clients
        self._ledger = clients.ledger
        self._done = done
        self._decoder = Decoder()
        self._held = bytearray()
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._untold = 0
        self.leaving = False
        clients.asking.add(self)
        self.dial()
        self.say(PREFACE + frame(SETTINGS, 0, 0))

    @property
    def room(self) -> bool:
        return self.open and not self.leaving and len(self._streams) < STREAMS

    @property
    def idle(self) -> bool:
        return not self._streams

    def ask(self) -> None:
        stream = Stream(self._clients.next_number())
        self._ledger.under_way += 1
        self._streams[self._next] = stream
        block = fields(f"/echo/{stream.number}")
        self.say(frame(HEADERS, END_STREAM | END_HEADERS, self._next, block))
        self._next += 2

    # --- what comes -----------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        self._held += data
        while len(self._held) >= HEADER_BYTES and self.open:
            size = HEADER_BYTES + int.from_bytes(self._held[:3])
            if len(self._held) < size:
                break
            whole = bytes(self._held[:size])
            del self._held[:size]
            self._take(whole[3], whole[4], int.from_bytes(whole[5:9]), whole[HEADER_BYTES:])
        if self.leaving and self.open and self.idle:
            self.close()
            self._over()

    def _take(self, kind: int, flags: int, number: int, body: bytes) -> None:
        stream = self._streams.get(number)
        if kind == HEADERS:
            known = dict(self._decoder.decode(body))
            if stream is not None:
                stream.status = known.get(":status", "")
                self.pid = int(known.get("x-pid", "0"))
        elif kind == DATA:
            self._give_back(len(body))
            if stream is not None:
                stream.body += body
        elif kind == RST_STREAM:
            self._reset(number, int.from_bytes(body))
            return
        elif kind == GOAWAY:
            self._heed(int.from_bytes(body[:4]), int.from_bytes(body[4:8]), body[8:])
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self.say(frame(kind, ACK, 0, body if kind == PING else b""))
        if kind in (HEADERS, DATA) and flags & END_STREAM and stream is not None:
            self._answered(number, stream)

    def _give_back(self, size: int) -> None:
        self._untold += size
        if self._untold > MOST_UNTOLD:
            self.say(frame(WINDOW_UPDATE, 0, 0, self._untold.to_bytes(4)))
            self._untold = 0

    def _answered(self, number: int, stream: Stream) -> None:
        version = small_answer(stream.number, bytes(stream.body))
        if stream.status != "200" or not version:
            self._lose(number, f"answered {stream.status} {bytes(stream.body[:100])!r}")
            return
        del self._streams[number]
        self._ledger.versions[version] += 1
        self._ledger.answer(self.kind, stream.began)

    def _reset(self, number: int, code: int) -> None:
        if number not in self._streams:
            return
        if code == REFUSED_STREAM:
            self._not_begun(number, "streams refused")
        else:
            self._lose(number, f"reset with {code}")

    def _heed(self, last: int, code: int, words: bytes) -> None:
        """RFC 9113 6.8: what lies above the last id was not begun."""
        self.tell(f"GOAWAY {last} {code} {words!r}")
        self.leaving = True
        if code:
            self._lose_all(f"GOAWAY {code} {words!r}")
        for number in [number for number in self._streams if number > last]:
            self._not_begun(number, "streams above GOAWAY's last")

    def _not_begun(self, number: int, name: str) -> None:
        del self._streams[number]
        self._ledger.apart[name] += 1
        self._ledger.under_way -= 1
        self._clients.owe(self.kind)

    def ended(self, how: str) -> None:
        if not self._streams:
            self._ledger.apart["idle connections closed"] += 1
        self._lose_all(how)
        self._over()

    def overdue(self, now: float, patience_s: float) -> None:
        late = [n for n, stream in self._streams.items() if now - stream.began > patience_s]
        for number in late:
            self._lose(number, "no answer in time")
        if late:
            self.leaving = True

    def leave(self) -> None:
        """No more requests; the connection ends with its last stream."""
        self.leaving = True
        self.hear(b"")

    def _lose_all(self, why: str) -> None:
        for number in list(self._streams):
            self._lose(number, why)

    def _lose(self, number: int, why: str) -> None:
        stream = self._streams.pop(number)
        self._ledger.lose(self.kind, stream.number, stream.began, f"stream {number}: {why}", self)

    def _over(self) -> None:
        self._clients.asking.discard(self)
        self._done(self)
