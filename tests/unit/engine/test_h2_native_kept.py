"""What the native engine keeps from one request to the next, and what it joins."""

from __future__ import annotations

import pytest
from hpack import Decoder

from tests.unit.engine.h2_peer import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GET,
    H2_ENGINES,
    HEADERS,
    PREFACE,
    SETTINGS,
    H2Peer,
    frame,
    line,
    meet,
    settings,
)

pytestmark = pytest.mark.skipif("native" not in H2_ENGINES, reason="not compiled")


def hello(exchange):
    exchange.start(200, [(b"Content-Type", b"text/plain")])
    exchange.send(b"hello", last=True)
    yield from ()


def request(stream: int, block: bytes, flags: int = END_STREAM) -> bytes:
    return frame(HEADERS, flags | END_HEADERS, stream, block)


def test_what_is_answered_in_a_feed_leaves_in_one_write():
    peer = meet("native", hello)
    wire = peer.line.wire
    wire.writes, peer._read = [], 0
    peer.say(b"".join(peer.headers(stream, GET) for stream in range(1, 41, 2)))
    assert len(wire.writes) == 1
    assert [answer.body for answer in peer.answers.values()] == [b"hello"] * 20


def test_preface_and_first_answer_leave_in_one_write():
    peer = H2Peer(line("native", hello), greets=False)
    peer.say(PREFACE + settings() + frame(SETTINGS, ACK) + peer.headers(1, GET))
    assert len(peer.line.wire.writes) == 1
    assert peer.answers[1].ended


def test_equal_blocks_are_equal_requests():
    peer = meet("native", hello)
    peer.say(*(request(stream, peer.section([*GET, ("x", "y")])) for stream in range(1, 21, 2)))
    heads = [exchange.head for exchange in peer.line.record.begun]
    assert len({id(head) for head in heads}) == 10
    assert {(head.method, head.raw_path, *head.fields) for head in heads} == {
        ("GET", b"/", (b"x", b"y"))
    }


def test_equal_blocks_are_other_requests_once_the_table_has_changed():
    peer = meet("native", hello)
    usual = b"\x82\x86\x41\x01a"  # GET, http, :authority a: an entry
    by_path = b"\x82\x86\xbf\xbe"  # GET, http, the entries 63 and 62
    peer.say(request(1, usual + b"\x44\x02/1"))
    peer.say(*(request(stream, by_path) for stream in (3, 5, 7)))
    # 62 is something new from here on, and 63 what was 62.
    peer.say(request(9, b"\x82\x86\xbf\x44\x02/2"))
    peer.say(request(11, b"\x82\x86\xc0\xbe"), request(13, b"\x82\x86\xc0\xbf"))
    paths = [exchange.head.raw_path for exchange in peer.line.record.begun]
    assert paths == [b"/1"] * 4 + [b"/2", b"/2", b"/1"]


def test_an_equal_block_with_a_body_is_another_request():
    peer = meet("native", hello)
    peer.say(request(1, peer.section(GET)))
    block = peer.section(GET)
    peer.say(request(3, block), request(5, block, 0), request(7, block))
    lengths = [exchange.head.content_length for exchange in peer.line.record.begun]
    assert lengths == [0, 0, None, 0]


def test_a_head_that_repeats_itself_is_a_few_octets():
    peer = meet("native", hello)
    sizes = []
    for _ in range(4):
        before = peer.line.wire.size
        peer.ask()
        sizes.append(peer.line.wire.size - before)
    assert sizes[-1] <= 9 + 5 + 9 + 5 + 40, "five fields; the date may have just changed"
    assert all(answer.fields[b"server"] == b"granian-d" for answer in peer.answers.values())


def test_a_head_larger_than_a_frame():
    def app(exchange):
        exchange.start(200, [(b"x-large", b"\xff" * 50_000), (b"x-small", b"y")])
        exchange.send(b"body", last=True)
        yield from ()

    peer = meet("native", app)
    wire = peer.line.wire
    before = len(wire.sent)
    peer.line.feed(peer.headers(1, GET))
    rest, frames = wire.sent[before:], []
    while rest:
        size = int.from_bytes(rest[:3], "big")
        frames.append((rest[3], rest[4], rest[9 : 9 + size]))
        rest = rest[9 + size :]
    assert [kind for kind, _, _ in frames] == [HEADERS, CONTINUATION, CONTINUATION, CONTINUATION, 0]
    assert [flags for _, flags, _ in frames] == [0, 0, 0, END_HEADERS, END_STREAM]
    assert max(len(payload) for _, _, payload in frames) == 16384
    fields = dict(
        Decoder(max_header_list_size=100_000).decode(
            b"".join(payload for _, _, payload in frames[:4]), raw=True
        )
    )
    assert fields[b"x-large"] == b"\xff" * 50_000
    assert fields[b"x-small"] == b"y"
