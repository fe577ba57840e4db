"""Compressed messages (RFC 7692)."""

from __future__ import annotations

import zlib

import pytest

from tests.unit.engine.talk import (
    BINARY,
    CONTINUATION,
    DEFLATE,
    ENGINES,
    PING,
    PONG,
    TEXT,
    Frame,
    Talk,
    frame,
    said,
)

pytestmark = pytest.mark.parametrize("engine", ENGINES)

ALONE = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TAIL = b"\x00\x00\xff\xff"
RSV1 = 4


class Client:
    """The client's two streams, kept or begun anew with each message."""

    def __init__(self, *, alone: bool = False, bits: int = 12) -> None:
        self.alone = alone
        self.bits = bits
        self._begin()

    def _begin(self) -> None:
        self.deflater = zlib.compressobj(wbits=-self.bits)
        self.inflater = zlib.decompressobj(-12)

    def press(self, data: bytes) -> bytes:
        if self.alone:
            self._begin()
        pressed = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        assert pressed.endswith(TAIL)
        return pressed[:-4]

    def read(self, it: Frame) -> bytes:
        assert it.bits == RSV1
        if self.alone:
            self._begin()
        return self.inflater.decompress(it.payload + TAIL)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5, 1 << 20])
def test_messages_of_a_client(engine: str, alone: bool, size: int) -> None:
    client = Client(alone=alone)
    talk = Talk(engine, extensions=ALONE if alone else DEFLATE)
    for _ in range(3):
        talk.trickle(frame(TEXT, client.press("Hällo €".encode() * 20), bits=RSV1), size)
        talk.trickle(frame(BINARY, client.press(bytes(1000)), bits=RSV1), size)
        talk.trickle(frame(TEXT, b"as it is"), size)
    assert talk.pulled() == ["Hällo €" * 20, bytes(1000), "as it is"] * 3


def test_the_examples_of_the_rfc(engine: str) -> None:
    """RFC 7692 7.2.3: one block, two fragments, not compressed at all, a final block, two blocks."""
    talk = Talk(engine, extensions=DEFLATE)
    hello = bytes.fromhex("f248cdc9c90700")
    talk.feed(frame(TEXT, hello, bits=RSV1))
    talk.feed(frame(TEXT, hello[:3], bits=RSV1, fin=False), frame(CONTINUATION, hello[3:]))
    talk.feed(frame(TEXT, bytes.fromhex("f200110000"), bits=RSV1))  # from the window
    talk.feed(frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), bits=RSV1))
    talk.feed(frame(TEXT, bytes.fromhex("f348cdc9c9070000"), bits=RSV1))
    talk.feed(frame(TEXT, bytes.fromhex("f24805000000ffffcac9c90700"), bits=RSV1))
    assert talk.pulled() == ["Hello"] * 6


def test_a_ping_between_compressed_fragments(engine: str) -> None:
    pressed = Client().press(b"x" * 500)
    talk = Talk(engine, extensions=DEFLATE)
    talk.feed(
        frame(TEXT, pressed[:2], bits=RSV1, fin=False),
        frame(PING, b"!"),
        frame(CONTINUATION, pressed[2:], fin=False),
        frame(CONTINUATION),
    )
    assert talk.sent == [Frame(PONG, b"!")]
    assert talk.pulled() == ["x" * 500]


@pytest.mark.parametrize("alone", [False, True])
def test_our_messages(engine: str, alone: bool) -> None:
    client = Client(alone=alone)
    talk = Talk(engine, extensions=ALONE if alone else DEFLATE)
    texts = ["Hällo €" * 20, "y" * 70000, "Hällo €" * 20]
    for text in texts:
        talk.session.send(text)
        talk.session.send(text.encode())
    assert [client.read(it).decode() for it in talk.sent] == [it for it in texts for _ in "ab"]
    assert talk.exchange.sent_bytes == sum(len(it.payload) for it in talk.sent) < 10000
    if not alone:
        assert len(talk.sent[4].payload) < len(talk.sent[0].payload), "the window is used"


def test_what_is_not_worth_it_is_sent_as_it_is(engine: str) -> None:
    talk = Talk(engine, extensions=DEFLATE)
    talk.session.send("x" * 63)
    talk.session.send("x" * 64)
    assert [it.bits for it in talk.sent] == [0, RSV1]


def test_nothing_is_compressed_that_was_not_agreed_on(engine: str) -> None:
    talk = Talk(engine)
    talk.session.send("x" * 1000)
    assert talk.sent == [Frame(TEXT, b"x" * 1000)]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frame(TEXT, b"\xff\xff\xff\xff", bits=RSV1), 1007),
        (frame(TEXT, Client().press(b"\xff"), bits=RSV1), 1007),
        (frame(TEXT, Client().press("€".encode()[:2]), bits=RSV1), 1007),
        (frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x", bits=RSV1), 1002),
        (frame(PING, b"x", bits=RSV1), 1002),
        (frame(TEXT, b"x", bits=RSV1 | 1), 1002),
        # Two final blocks; one would be RFC 7692 7.2.3.4.
        (frame(TEXT, b"\x03\x00\x03\x00\x00", bits=RSV1), 1007),
    ],
)
def test_what_is_bad_ends_it(engine: str, octets: bytes, code: int) -> None:
    talk = Talk(engine, extensions=DEFLATE).trickle(octets)
    assert talk.closes == said(code)
    assert talk.fate == "closes"


@pytest.mark.parametrize("pieces", [1, 5])
def test_a_message_is_limited_while_it_is_inflated(engine: str, pieces: int) -> None:
    talk = Talk(engine, extensions=DEFLATE, message_bytes=100_000)
    client = Client()
    talk.feed(frame(BINARY, client.press(bytes(100_000)), bits=RSV1))
    assert talk.pulled() == [bytes(100_000)]
    octets = client.press(bytes(100_001))
    step = len(octets) // pieces
    for at in range(0, len(octets), step):
        first, last = at == 0, at + step >= len(octets)
        talk.feed(
            frame(
                BINARY if first else CONTINUATION,
                octets[at : at + step],
                bits=RSV1 if first else 0,
                fin=last,
            )
        )
    assert talk.closes == said(1009)


def test_bombs_in_one_packet_do_not_all_go_off(engine: str) -> None:
    """Each of them is a MiB: the second is not looked at before the first has been pulled."""
    client = Client()
    bombs = b"".join(frame(BINARY, client.press(bytes(1 << 20)), bits=RSV1) for _ in range(20))
    talk = Talk(engine, extensions=DEFLATE).feed(bombs)
    assert talk.wire.paused
    assert len(talk.session._messages) == 1
    assert talk.pulled() == [bytes(1 << 20)] * 20


def test_a_limit_counts_text_in_octets(engine: str) -> None:
    talk = Talk(engine, extensions=DEFLATE, message_bytes=100)
    talk.feed(frame(TEXT, Client().press("€".encode() * 34), bits=RSV1))
    assert talk.closes == said(1009)
