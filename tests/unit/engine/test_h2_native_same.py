"""The same octets in random splits: both engines of HTTP/2 answer them alike."""

from __future__ import annotations

from random import Random
from struct import pack
from typing import Any

import pytest

from tests.unit.engine.h2_peer import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    H2_ENGINES,
    HEAD,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    H2Peer,
    frame,
    http2,
    line,
    settings,
)
from tests.wire.harness import OPEN, read_all

pytestmark = pytest.mark.skipif(len(H2_ENGINES) < 2, reason="one engine alone is here")

LIMITS = {
    "head_bytes": 600,
    "head_fields": 8,
    "body_bytes": 3000,
    "http2": http2(fields_bytes=1000, stream_window_bytes=5000, connection_window_bytes=70_000),
}

ODD_FIELDS = (
    *((b"x", b"y"), (b"te", b"trailers"), (b"te", b"gzip"), (b"cookie", b"a=1"), (b"cookie", b"b")),
    *((b"host", b"a"), (b"host", b"b"), (b"content-length", b"5"), (b"content-length", b"05")),
    *((b"connection", b"close"), (b"X", b"y"), (b"x", b" y"), (b"x", b"y\n"), (b"", b"")),
    *((b":path", b"/"), (b":other", b"x"), (b"priority", b"u=1, i"), (b"priority", b"u=9;x, i=?0")),
    *((b"expect", b"100-continue"), (b"expect", b"x"), (b"x", b"z" * 700), (b"upgrade", b"h2c")),
)
ODD_PSEUDO = (
    *((b":method", b"CONNECT"), (b":method", b"G T"), (b":scheme", b"ftp"), (b":path", b"*")),
    *((b":path", b""), (b":path", b"/a?b=c"), (b":path", b"/%zz"), (b":authority", b"")),
    *((b":authority", b"b:1"), (b":protocol", b"websocket"), (b":method", b"OPTIONS")),
)


def app(exchange):
    """Answers in a way that depends on the request."""
    if exchange.head.raw_path == b"/early":
        exchange.start(200, [(b"Content-Type", b"text/plain")])
        exchange.send(b"early", last=True)
        return
    body = yield from read_all(exchange)
    exchange.inform(103, [(b"link", b"</x>")])
    exchange.start(200, [(b"X-Of", exchange.head.raw_path + b"?" + exchange.head.query)])
    for at in range(0, len(body), 1000):
        if not exchange.send(body[at : at + 1000]):
            yield exchange.when_room
    exchange.finish([(b"x-sum", b"%d" % len(body))])


class Client:
    """Writes a stream of octets that is good for the most part."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.peer = H2Peer(line("pure", app), greets=False)  # for its compressor
        self.next = 1
        self.open: list[int] = []

    def pieces(self) -> list[bytes]:
        """Each of one frame, or of a field block in several."""
        pieces = [PREFACE, settings(self.random.choice(({}, {4: 100}, {4: 1 << 20}, {1: 0})))]
        pieces += [self.piece() for _ in range(self.random.randrange(1, 25))]
        return pieces

    def piece(self) -> bytes:
        random = self.random
        dice = random.random()
        if dice < 0.4 or not self.open:
            return self.request()
        stream = random.choice(self.open)
        if dice < 0.7:
            return self.body(stream)
        if dice < 0.75:
            trailers = random.choice(([(b"x", b"y")], [(b":path", b"/")], [(b"X", b"y")], []))
            return self.section(stream, trailers, END_STREAM if random.random() < 0.9 else 0)
        if dice < 0.8:
            return frame(WINDOW_UPDATE, 0, random.choice((0, stream)), pack(">L", 100_000))
        return self.other(stream)

    def other(self, stream: int) -> bytes:
        return self.random.choice(
            (
                frame(PING, 0, 0, b"12345678"),
                frame(PRIORITY_UPDATE, 0, 0, pack(">L", self.next) + b"u=0"),
                frame(PRIORITY, 0, stream, pack(">LB", 0, 15)),
                frame(RST_STREAM, 0, stream, pack(">L", 8)),
                frame(99, 0, stream, b"x"),
                settings({4: self.random.choice((0, 10, 65535))}),
                *self.faults(stream),
            )
        )

    def faults(self, stream: int) -> tuple[bytes, ...]:
        """One of them now and then: most end the connection."""
        if self.random.random() < 0.9:
            return ()
        return (
            frame(PING, 0, 0, b"1234567"),
            frame(PING, 0, 1, b"12345678"),
            frame(WINDOW_UPDATE, 0, self.random.choice((0, stream)), bytes(4)),
            frame(WINDOW_UPDATE, 0, self.random.choice((0, stream)), b"\x7f\xff\xff\xff"),
            frame(RST_STREAM, 0, self.next + 2, bytes(4)),
            frame(DATA, 0, 0, b"x"),
            frame(DATA, PADDED, stream, b"\x05abc"),
            frame(PRIORITY, 0, stream, pack(">LB", stream, 15)),
            frame(PRIORITY, 0, stream, b"xx"),
            frame(CONTINUATION, END_HEADERS, stream, b""),
            frame(HEADERS, END_HEADERS, stream, b"\xff\xff\xff\xff\xff\xff"),
            frame(HEADERS, END_HEADERS, 2, b""),
            frame(SETTINGS, 0, 0, b"12345"),
            frame(SETTINGS, 1, 0, b"123456"),
            settings({2: 2}),
            settings({5: 1}),
            frame(5, 0, stream, bytes(4)),
            frame(GOAWAY, 0, 0, bytes(8)),
            frame(DATA, 0, stream, bytes(16385)),
        )

    def request(self) -> bytes:
        random = self.random
        fields = [
            (name.encode(), value.encode()) for name, value in random.choice((GET, POST, HEAD))
        ]
        if random.random() < 0.2:
            fields[-1] = (b":path", b"/early")
        if random.random() < 0.2:
            name, value = random.choice(ODD_PSEUDO)
            fields = [pair for pair in fields if pair[0] != name or random.random() < 0.05]
            fields.append((name, value))
        while random.random() < 0.3:
            fields.append(random.choice(ODD_FIELDS))
        stream, self.next = self.next, self.next + random.choice((2, 2, 2, 4))
        ended = random.random() < 0.5
        if not ended:
            self.open.append(stream)
        return self.section(stream, fields, END_STREAM if ended else 0)

    def section(self, stream: int, fields: Any, flags: int) -> bytes:
        random = self.random
        block = self.peer.section(fields)
        if random.random() < 0.1:
            flags |= PRIORITIZED
            depends_on = stream if random.random() < 0.1 else 0
            return frame(HEADERS, flags | END_HEADERS, stream, pack(">LB", depends_on, 1) + block)
        if random.random() < 0.2:
            at = random.randrange(len(block) + 1)
            return frame(HEADERS, flags, stream, block[:at]) + frame(
                CONTINUATION, END_HEADERS, stream, block[at:]
            )
        return frame(HEADERS, flags | END_HEADERS, stream, block)

    def body(self, stream: int) -> bytes:
        random = self.random
        data = b"d" * random.choice((0, 1, 5, 700, 2000))
        ended = END_STREAM if random.random() < 0.4 else 0
        if random.random() < 0.2:
            padding = random.randrange(20)
            return frame(DATA, ended | PADDED, stream, bytes([padding]) + data + bytes(padding))
        return frame(DATA, ended, stream, data)


def play(engine: str, pieces: list[bytes], splits: Random) -> tuple[Any, ...]:
    """What the peer sees, and what the observer is told.

    No feed has more than a piece: what is queued when the connection breaks is not sent any more,
    and the engines queue differently.
    """
    peer = H2Peer(line(engine, app, **LIMITS), greets=False)
    for piece in pieces:
        at = 0
        while at < len(piece) and peer.line.fate == OPEN:
            size = splits.choice((1, 7, 9, 100, 30_000))
            peer.line.feed(piece[at : at + size])
            at += size
    peer.listen()
    record = peer.line.record
    answers = {
        stream: (
            answer.status,
            {name: value for name, value in answer.fields.items() if name != b"date"},
            answer.interims,
            answer.body,
            answer.trailers,
            answer.ended,
            answer.reset,
        )
        for stream, answer in peer.answers.items()
    }
    exchanges = [
        (each.head.raw_path, each.head.fields, each.status, each.state) for each in record.begun
    ]
    refusals = [(type(each), each.http_status, each.h2_code) for each in record.refusals]
    return answers, peer.goaways, peer.pongs, peer.line.fate, exchanges, refusals


@pytest.mark.parametrize("seed", range(150))
def test_both_answer_alike(seed):
    pieces = Client(Random(seed)).pieces()
    expected = play("pure", pieces, Random(seed))
    assert play("native", pieces, Random(~seed)) == expected
