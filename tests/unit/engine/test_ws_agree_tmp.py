"""Both engines say the same of the same octets, however they are cut."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engine.talk import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    ENGINES,
    PING,
    PONG,
    TEXT,
    Talk,
    frame,
)

LIMITS = {"frame_bytes": 5000, "message_bytes": 8000}


def press(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-12)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"x" * size for size in (125, 126, 4999, 5001)]),
    st.sampled_from([b"\xf4", b"\x8f\xbf", b"\xe2\x82", b"\xac", b"\x03\xe8", b"\x03\xe8\xff"]),
    st.text(max_size=400).map(str.encode).map(press),
    st.just(press(bytes(9000))),
)
opcodes = st.one_of(
    st.sampled_from([TEXT, BINARY, CONTINUATION, PING, PONG]),
    st.sampled_from([TEXT, CONTINUATION, CLOSE, *range(16)]),
)
any_frames = st.builds(
    frame,
    opcodes,
    payloads,
    fin=st.sampled_from([True, True, False]),
    bits=st.sampled_from([0, 0, 0, 0, 4, 4, 1, 2, 7]),
    mask=st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.none()),
)
streams = st.one_of(
    st.lists(any_frames, max_size=8).map(b"".join),
    st.tuples(st.lists(any_frames, max_size=4).map(b"".join), st.binary(max_size=30)).map(b"".join),
)
sizes = st.lists(st.sampled_from([1, 2, 3, 6, 10, 100, 5000]), min_size=1, max_size=5)


def verdict(engine: str, octets: bytes, cuts: list[int], extensions: bytes, pulls: bool) -> tuple:
    talk = Talk(engine, extensions=extensions, **LIMITS)
    got = []
    at = turn = 0
    while at < len(octets) and talk.fate == "stays":
        size = cuts[turn % len(cuts)]
        talk.feed(octets[at : at + size])
        if pulls:
            for message in talk.pulled():
                got.append(message)
                if talk.session.state == 1:
                    talk.session.send(message)
        at += size
        turn += 1
    got += talk.pulled()
    if talk.fate == "stays":
        talk.endpoint.feed_eof()
        got += talk.pulled()
    return got, talk.sent, talk.fate, talk.end, talk.exchange.sent_bytes


@pytest.mark.skipif(len(ENGINES) < 2, reason="only one engine is installed here")
@settings(max_examples=8000, deadline=None)
@given(octets=streams, cuts=sizes, extensions=st.sampled_from([b"", DEFLATE]), pulls=st.booleans())
def test_the_engines_agree(octets: bytes, cuts: list[int], extensions: bytes, pulls: bool) -> None:
    pure = verdict("pure", octets, cuts, extensions, pulls)
    assert verdict("native", octets, cuts, extensions, pulls) == pure
    whole = verdict("native", octets, [max(len(octets), 1)], extensions, pulls)
    if not pulls:
        assert whole == pure, "the verdict follows from the octets, not from the packets"


messages = st.lists(st.one_of(st.text(), st.binary(), st.text(min_size=200)), max_size=6)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=100, deadline=None)
@given(texts=messages, cuts=sizes, parts=st.integers(1, 5), compressed=st.booleans())
def test_what_is_sent_arrives(
    engine: str, texts: list[str | bytes], cuts: list[int], parts: int, compressed: bool
) -> None:
    """In any number of fragments and packets, and back."""
    octets = b""
    deflater = zlib.compressobj(wbits=-12)
    for text in texts:
        data = text.encode() if isinstance(text, str) else text
        if compressed:
            data = (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        step = len(data) // parts + 1
        for number, at in enumerate(range(0, max(len(data), 1), step)):
            octets += frame(
                CONTINUATION if number else TEXT if isinstance(text, str) else BINARY,
                data[at : at + step],
                fin=at + step >= len(data),
                bits=0 if number or not compressed else 4,
            )
    talk = Talk(engine, extensions=DEFLATE)
    at = turn = 0
    while at < len(octets):
        talk.feed(octets[at : at + cuts[turn % len(cuts)]])
        at += cuts[turn % len(cuts)]
        turn += 1
    assert talk.pulled() == texts
    inflater = zlib.decompressobj(-12)
    for text in texts:
        talk.session.send(text)
    for text, it in zip(texts, talk.sent, strict=True):
        data = inflater.decompress(it.payload + b"\x00\x00\xff\xff") if it.bits else it.payload
        assert (data.decode() if it.opcode == TEXT else data) == text
