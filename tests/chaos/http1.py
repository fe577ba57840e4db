"""Clients of HTTP/1.1: they keep connections, open new ones, upload slowly, read slowly."""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from typing import TYPE_CHECKING

from tests.chaos import payload
from tests.chaos.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.clients import Clients

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
PID = re.compile(rb"\r\nx-pid: (\d+)\r\n", re.IGNORECASE)
LAST = re.compile(rb"\r\nconnection: close\r\n", re.IGNORECASE)
MOST_HEAD = 4096

UPLOAD_PIECE_S = 0.12
READ_PIECE_S = 0.05
READ_PIECE = 1 << 15


def request(path: str, *fields: str, method: str = "GET") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: chaos", *fields, "", "")
    return "\r\n".join(lines).encode()


class Asking(Wire):
    """A connection that asks for one thing at a time.

    `done` is told when the answer is there or lost, and whether the connection may be used again,
    `gone` when it was closed while it was idle.
    """

    kind = ""

    def __init__(
        self,
        clients: Clients,
        done: Callable[[Asking, bool], None],
        gone: Callable[[Asking], None] = lambda _: None,
    ) -> None:
        super().__init__(clients.reactor, clients.address())
        clients.ledger.connections += 1
        self._gone = gone
        self._clients = clients
        self._ledger = clients.ledger
        self._done = done
        self.number = 0  # of the request under way; 0: none is
        self._began = 0.0
        self._head = bytearray()
        self._missing = -1  # octets of the body; -1: the head is not there yet
        self._last = False

    def ask(self, dialled: bool) -> None:
        """Send the next request."""
        self.number, self._began = self._clients.next_number(), time.monotonic()
        self._ledger.under_way += 1
        self._head.clear()
        self._missing = -1
        self._clients.asking.add(self)
        self.prepare()
        if not dialled:
            self.dial()
        self.send()

    # --- what a kind of client is ---------------------------------------------------------------

    def prepare(self) -> None:
        """Before an answer."""

    def send(self) -> None:
        raise NotImplementedError

    def body(self, data: bytes) -> None:
        raise NotImplementedError

    def right(self) -> bool:
        """The whole body is what it should be."""
        raise NotImplementedError

    # --- the answer -----------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        if not self.number:
            self._after(data)
            return
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0 and len(self._head) < MOST_HEAD:
                return
            head, data = bytes(self._head[: end + 2]), bytes(self._head[end + 4 :])
            if not self._understand(head):
                self.lose(f"answered {head[:200]!r}")
                return
        self._missing -= len(data)
        self.body(data)
        if self._missing == 0:
            self._complete()
        elif self._missing < 0:
            self.lose("more octets than announced")

    def _understand(self, head: bytes) -> bool:
        status, length, pid = STATUS.match(head), LENGTH.search(head), PID.search(head)
        if not (status and status[1] == b"200" and length and pid):
            return False
        self.pid = int(pid[1])
        self._missing = int(length[1])
        self._last = LAST.search(head) is not None
        return True

    def _complete(self) -> None:
        if not self.right():
            self.lose("a wrong body")
            return
        self.tell(f"answered by {self.pid}")
        self._ledger.answer(self.kind, self._began)
        self._over(not self._last)

    def _after(self, data: bytes) -> None:
        """Octets without a request."""
        self.number = self._clients.next_number()
        self._ledger.under_way += 1
        self._clients.asking.add(self)
        self.lose(f"octets that nobody asked for: {data[:100]!r}")

    def ended(self, how: str) -> None:
        if self.number:
            step = "no answer" if not self._head else f"{self._missing} octets missing"
            self.lose(f"{how}, {step}")
        else:
            self._ledger.apart["idle connections closed"] += 1
            self._gone(self)

    def overdue(self, now: float, patience_s: float) -> None:
        if self.number and now - self._began > patience_s:
            self.lose("no answer in time")

    def lose(self, why: str) -> None:
        self._ledger.lose(self.kind, self.number, self._began, why, self)
        self._over(False)

    def _over(self, again: bool) -> None:
        self.number = 0
        self._clients.asking.discard(self)
        if not again:
            self.close()
        self._done(self, again)


class Kept(Asking):
    """Small answers, on a connection for as long as the server keeps it."""

    kind = "kept"
    fields: tuple[str, ...] = ()

    def prepare(self) -> None:
        self._body = bytearray()

    def send(self) -> None:
        self.say(request(f"/echo/{self.number}", *self.fields))

    def body(self, data: bytes) -> None:
        self._body += data

    def right(self) -> bool:
        version = small_answer(self.number, bytes(self._body))
        self._ledger.versions[version] += 1
        return bool(version)


def small_answer(number: int, body: bytes) -> str:
    """The version of the application that gave this answer; "" if it is wrong."""
    line, _, rest = body.partition(b"\n")
    named, _, version = line.partition(b" ")
    if named != b"%d" % number or rest != payload.small(number):
        return ""
    return version.decode()


class New(Kept):
    """A connection for one request; each second one asks the server to close it."""

    kind = "new"
    turns = itertools.count()

    def prepare(self) -> None:
        super().prepare()
        self.fields = ("Connection: close",) if next(self.turns) % 2 else ()

    def _over(self, again: bool) -> None:
        super()._over(False)


class Upload(Asking):
    """A body that takes seconds to come, with a length or in chunks."""

    kind = "upload"
    turns = itertools.count()

    def prepare(self) -> None:
        self._body = bytearray()
        self._pieces = payload.pieces(self.number, payload.UPLOAD_BYTES)
        self._chunked = next(self.turns) % 2 == 1

    def send(self) -> None:
        framing = f"Content-Length: {payload.UPLOAD_BYTES}"
        if self._chunked:
            framing = "Transfer-Encoding: chunked"
        self.say(request(f"/upload/{self.number}", framing, method="POST"))
        self._send_piece(self.number)

    def _send_piece(self, number: int) -> None:
        if number != self.number or not self.open:
            return  # that one is over
        piece = next(self._pieces, b"")
        if self._chunked:
            self.say(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self.say(piece)
        if piece:
            self._reactor.later(UPLOAD_PIECE_S, lambda: self._send_piece(number))

    def body(self, data: bytes) -> None:
        self._body += data

    def right(self) -> bool:
        size = payload.UPLOAD_BYTES
        return bytes(self._body) == (
            b"%d %d %b" % (self.number, size, payload.digest(self.number, size).encode())
        )


class Reader(Asking):
    """A MiB that is read slowly, so that most of it waits at the server."""

    kind = "reader"
    receive_bytes = 1 << 16

    def prepare(self) -> None:
        self._summed = hashlib.blake2b(digest_size=16)
        self._size = 0

    def send(self) -> None:
        self.say(request(f"/large/{self.number}"))
        self.pause()
        self._read_piece(self.number)

    def _read_piece(self, number: int) -> None:
        if number == self.number and self.open:
            self.read(READ_PIECE)
            self._reactor.later(READ_PIECE_S, lambda: self._read_piece(number))

    def body(self, data: bytes) -> None:
        self._summed.update(data)
        self._size += len(data)

    def right(self) -> bool:
        self.resume()
        right = payload.digest(self.number, payload.LARGE_BYTES)
        return self._size == payload.LARGE_BYTES and self._summed.hexdigest() == right
