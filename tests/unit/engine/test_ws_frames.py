"""What is read of frames (RFC 6455 5): every row on both engines, whole and octet by octet."""

from __future__ import annotations

import pytest

from tests.unit.engine.talk import (
    BINARY,
    CLOSE,
    CONTINUATION,
    ENGINES,
    PING,
    PONG,
    TEXT,
    Frame,
    Talk,
    close,
    frame,
    said,
)

pytestmark = pytest.mark.parametrize("engine", ENGINES)

EURO = "€".encode()
LAST = "\U0010ffff"  # the last character there is

# What a client sends, what the application gets of it.
GOOD = {
    "text": (frame(TEXT, b"Hello"), ["Hello"]),
    "empty text": (frame(TEXT), [""]),
    "one character": (frame(TEXT, b"x"), ["x"]),
    "binary": (frame(BINARY, bytes(range(256))), [bytes(range(256))]),
    "empty binary": (frame(BINARY), [b""]),
    "not ASCII": (frame(TEXT, "Grüße, 世界 €".encode()), ["Grüße, 世界 €"]),
    "last character": (frame(TEXT, LAST.encode()), [LAST]),
    "lengths around two octets": (
        b"".join(frame(BINARY, b"x" * size) for size in (124, 125, 126, 127, 128)),
        [b"x" * size for size in (124, 125, 126, 127, 128)],
    ),
    "lengths around eight octets": (
        b"".join(frame(TEXT, b"x" * size) for size in (65535, 65536)),
        ["x" * 65535, "x" * 65536],
    ),
    "a mask of zeros": (frame(TEXT, b"Hello", mask=bytes(4)), ["Hello"]),
    "fragments": (
        frame(TEXT, b"Hel", fin=False) + frame(CONTINUATION, b"lo"),
        ["Hello"],
    ),
    "empty fragments": (
        frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION, b"x"),
        [b"x"],
    ),
    "only empty fragments": (frame(TEXT, fin=False) + frame(CONTINUATION), [""]),
    "a character in two fragments": (
        frame(TEXT, EURO[:1], fin=False) + frame(CONTINUATION, EURO[1:]),
        ["€"],
    ),
    "a pong nobody asked for": (frame(PONG, b"x") + frame(TEXT, b"y"), ["y"]),
}

# What a client sends, and the code with which it is told that it must not.
BAD = {
    "RSV1 without an extension": (frame(TEXT, b"x", bits=4), 1002),
    "RSV2": (frame(TEXT, b"x", bits=2), 1002),
    "RSV3 of a ping": (frame(PING, bits=1), 1002),
    "RSV1 of a Close": (frame(CLOSE, b"\x03\xe8", bits=4), 1002),
    **{f"opcode {code}": (frame(code, b"x"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping in parts": (frame(PING, b"x", fin=False), 1002),
    "a Close in parts": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "a ping of 126 octets": (frame(PING, b"x" * 126), 1002),
    "a pong of 65536 octets": (frame(PONG, b"x" * 65536), 1002),
    "not masked": (frame(TEXT, b"x", mask=None), 1002),
    "not masked and empty": (frame(PING, mask=None), 1002),
    "a length in two octets for one": (b"\x81\xfe\x00\x7dxxxx" + b"x" * 125, 1002),
    "a length in eight octets for two": (b"\x81\xff" + (65535).to_bytes(8, "big") + b"xxxx", 1002),
    "a length beyond 2**63": (b"\x82\xff\x80" + bytes(7) + b"xxxx", 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a continuation behind a whole message": (frame(TEXT) + frame(CONTINUATION, b"x"), 1002),
    "a message within another": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "Latin-1": (frame(TEXT, b"caf\xe9"), 1007),
    "a form too long": (frame(TEXT, b"\xc0\x80"), 1007),
    "a form too long of three": (frame(TEXT, b"\xe0\x80\xaf"), 1007),
    "a form too long of four": (frame(TEXT, b"\xf0\x80\x80\xaf"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "beyond the last character": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "no first octet": (frame(TEXT, b"\xf5\x80\x80\x80"), 1007),
    "a second octet alone": (frame(TEXT, b"\x80"), 1007),
    "half a character": (frame(TEXT, EURO[:2]), 1007),
    "half a character behind fragments": (
        frame(TEXT, b"x", fin=False) + frame(CONTINUATION, EURO[:2]),
        1007,
    ),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("name", GOOD)
def test_what_is_good_arrives(engine: str, name: str, size: int) -> None:
    octets, messages = GOOD[name]
    if len(octets) > 65536 and size < 7:
        size = 1000
    talk = Talk(engine)
    talk.trickle(octets, size)
    assert talk.pulled() == messages
    assert not talk.sent
    talk.feed(close())
    assert talk.closes == said(1000)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_ends_it(engine: str, name: str, size: int) -> None:
    octets, code = BAD[name]
    talk = Talk(engine).trickle(octets, size)
    talk.pulled()
    assert talk.closes == said(code)
    assert talk.fate == "closes"
    assert talk.end[0] == code
    assert talk.record.over == [talk.exchange]


# RFC 6455 8.1, and what other implementations do: nobody waits for the rest of a frame that can only
# be wrong. It is found out with the last octet of these at the latest; the frame declares more.
@pytest.mark.parametrize(
    "payload",
    [
        b"abc\xff",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90",
        b"\xed\xa0\x80",  # CPython's decoder, which the pure engine uses, waits for the third
        b"\xe0\x9f",
        b"\xf0\x8f",
        b"\xc1",
    ],
)
def test_bad_text_is_found_at_once(engine: str, payload: bytes) -> None:
    octets = frame(TEXT, payload + b"x" * 20)[: 6 + len(payload)]
    talk = Talk(engine).trickle(octets[:-2])
    assert not talk.sent
    talk.trickle(octets[-2:])
    assert talk.closes == said(1007)


def test_a_ping_is_answered_between_fragments(engine: str) -> None:
    talk = Talk(engine).feed(frame(TEXT, b"a", fin=False) + frame(PING, b"there?"))
    assert talk.sent == [Frame(PONG, b"there?")]
    talk.feed(frame(CONTINUATION, b"b"))
    assert talk.pulled() == ["ab"]


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff" * 62, b"y" * 125])
def test_a_pong_has_the_payload_of_its_ping(engine: str, payload: bytes) -> None:
    talk = Talk(engine).trickle(frame(PING, payload))
    assert talk.sent == [Frame(PONG, payload)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537, 200000])
def test_what_is_sent_is_one_frame(engine: str, size: int) -> None:
    talk = Talk(engine)
    assert talk.session.send(b"x" * size)
    assert talk.session.send("y" * size)
    assert talk.sent == [Frame(BINARY, b"x" * size), Frame(TEXT, b"y" * size)]
    assert talk.exchange.sent_bytes == 2 * size


def test_text_is_sent_as_utf8(engine: str) -> None:
    talk = Talk(engine)
    talk.session.send("Grüße, 世界 " + LAST)
    assert talk.sent == [Frame(TEXT, ("Grüße, 世界 " + LAST).encode())]


@pytest.mark.parametrize("data", [None, 1, bytearray(b"x"), memoryview(b"x"), "\ud800"])
def test_what_is_no_message_is_refused(engine: str, data: object) -> None:
    from granian_d.errors import InvalidResponse

    talk = Talk(engine)
    with pytest.raises(InvalidResponse):
        talk.session.send(data)
    assert not talk.sent
    talk.session.send("still open")
    assert talk.sent == [Frame(TEXT, b"still open")]


def test_messages_may_be_of_subclasses(engine: str) -> None:
    class Text(str):
        __slots__ = ()

    class Octets(bytes):
        __slots__ = ()

    talk = Talk(engine)
    talk.session.send(Text("a"))
    talk.session.send(Octets(b"b"))
    talk.session.close(1000, Text("c"))
    assert [it.payload for it in talk.sent] == [b"a", b"b", b"\x03\xe8c"]
