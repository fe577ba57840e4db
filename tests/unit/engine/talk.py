"""A conversation played from the side of the client, with the application's side beside it.

Nothing here is under test: frames are made and read by code of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from granian_d.engine.choose import choose
from granian_d.engine.contract import Clock
from granian_d.errors import SessionClosed
from granian_d.http.exchange import Exchange
from granian_d.http.handshake import judge_handshake
from granian_d.http.message import Peer, RequestHead
from tests.unit.plan.specimens import WEBSOCKET, limits
from tests.wire.harness import ENGINES, OPEN, FakeWire, Record

__all__ = ["ENGINES"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
MASK = b"\x37\xfa\x21\x3d"  # RFC 6455 5.7
DEFLATE = b"permessage-deflate; client_max_window_bits"


class Frame(NamedTuple):
    """One of the server's; bits are RSV1 to RSV3 as 4, 2, 1."""

    opcode: int
    payload: bytes
    fin: bool = True
    bits: int = 0


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    bits: int = 0,
    mask: bytes | None = MASK,
) -> bytes:
    """One of the client's."""
    size = len(payload)
    masked = 128 if mask is not None else 0
    head = bytes((128 * fin | bits << 4 | opcode,))
    if size < 126:
        head += bytes((masked | size,))
    elif size < 65536:
        head += bytes((masked | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((masked | 127,)) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    keys = (mask * (size // 4 + 1))[:size]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")
    return head + mask + hidden.to_bytes(size, "big")


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """The client's Close."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def said(code: int) -> list[tuple[int, int]]:
    """How `Talk.closes` shows a Close of ours."""
    return [(CLOSE, code)]


def frames(octets: bytes) -> list[Frame]:
    """What the server has sent; all of it must be whole frames without a mask."""
    found = []
    while octets:
        size, at = octets[1], 2
        assert size < 128, "a mask"
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(octets[2:at], "big")
        payload = octets[at : at + size]
        assert len(payload) == size
        first = octets[0]
        found.append(Frame(first & 15, payload, first >= 128, first >> 4 & 7))
        octets = octets[at + size :]
    return found


class Tunnel(Exchange):
    """An exchange whose tunnel leads to a wire that remembers."""

    def __init__(self, head: RequestHead, wire: FakeWire, record: Record) -> None:
        super().__init__(head, Peer(("192.0.2.1", 4321), ("192.0.2.2", 80)), record)
        self.wire = wire
        self.fields: list[tuple[bytes, bytes]] = []
        self.endpoint: Any = None

    def tunnel(self, fields: Any, make: Any) -> None:
        self._advance("tunnel")
        self.fields = list(fields)
        self.status = 101
        self.endpoint = make(self.wire)

    def abort(self) -> None:
        self._advance("abort")
        self.wire.abort()


def head(
    *fields: tuple[bytes, bytes], key: bytes | None = KEY, version: bytes | None = b"13"
) -> RequestHead:
    """A request for a conversation."""
    lines = [(b"host", b"example.org"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    if key is not None:
        lines.append((b"sec-websocket-key", key))
    if version is not None:
        lines.append((b"sec-websocket-version", version))
    return RequestHead(
        "GET", b"/", b"", b"example.org", "1.1", [*lines, *fields], 0, False, "websocket"
    )


class Talk:
    """One conversation with all its counterparts.

    Args:
        engine: its name.
        extensions: that the client offers.
        subprotocols: that the client offers.
        accept: have the application accept it at once.
        high_water: of the wire; None: the client takes everything at once.
        terms: of WebSocketLimits.
    """

    def __init__(
        self,
        engine: str,
        *,
        extensions: bytes = b"",
        subprotocols: bytes = b"",
        accept: bool = True,
        high_water: int | None = None,
        write_timeout_s: float = 40.0,
        **terms: Any,
    ) -> None:
        fields = []
        if extensions:
            fields.append((b"sec-websocket-extensions", extensions))
        if subprotocols:
            fields.append((b"sec-websocket-protocol", subprotocols))
        request = head(*fields)
        self.clock = Clock(1000.0)
        self.wire = FakeWire(high_water)
        self.record = Record()
        self.exchange = Tunnel(request, self.wire, self.record)
        self.record.begun.append(self.exchange)
        self.session = choose(engine, "websocket")(
            self.exchange,
            judge_handshake(request),
            limits(websocket=replace(WEBSOCKET, **terms), write_timeout_s=write_timeout_s),
            self.clock,
        )
        if accept:
            self.session.accept(None, [])

    @property
    def endpoint(self) -> Any:
        return self.exchange.endpoint

    # --- the client's side ---------------------------------------------------------------------

    def feed(self, *pieces: bytes) -> Talk:
        """What the client sends; nothing arrives once the wire is closed."""
        for piece in pieces:
            if self.wire.fate == OPEN:
                self.endpoint.feed_data(piece)
        return self

    def trickle(self, octets: bytes, size: int = 1) -> Talk:
        """The same in pieces of `size` octets."""
        return self.feed(*(octets[at : at + size] for at in range(0, len(octets), size)))

    def take(self, count: int) -> Talk:
        """The client reads; the low-water mark is half of the high one."""
        assert self.wire.high_water is not None
        full = self.wire.queued_bytes() > self.wire.high_water
        self.wire.taken = min(self.wire.taken + count, self.wire.size)
        if full and self.wire.queued_bytes() <= self.wire.high_water // 2:
            self.endpoint.feed_room()
        return self

    def wait(self, seconds: float) -> Talk:
        """Time passes, in quarters of a second, as with the transport's coarse timer."""
        for _ in range(round(seconds * 4)):
            self.clock.now += 0.25
            if self.wire.fate == OPEN and self.endpoint.deadline <= self.clock.now:
                self.endpoint.expire()
        return self

    @property
    def sent(self) -> list[Frame]:
        return frames(self.wire.sent)

    @property
    def closes(self) -> list[tuple[int, int]]:
        """Every Close that was sent, with its code (0: none)."""
        return [
            (CLOSE, int.from_bytes(it.payload[:2], "big")) for it in self.sent if it.opcode == CLOSE
        ]

    @property
    def fate(self) -> str:
        return self.wire.fate

    # --- the application's side ----------------------------------------------------------------

    def pulled(self) -> list[str | bytes]:
        """All messages that can be pulled now."""
        found: list[str | bytes] = []
        try:
            while (message := self.session.pull()) is not None:
                found.append(message)
        except SessionClosed:
            pass
        return found

    @property
    def end(self) -> tuple[int, str]:
        """Why it has ended; (0, "") while it has not."""
        return self.session.code, self.session.reason
