"""However the octets of a client are cut into packets, the same is answered.

A play is a list of frames, most of them good. What the packets do change, and is not compared, is
in which order the streams' frames leave, and how much of an answer has left when a stream is reset:
so only streams are reset that cannot have been answered.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from hpack import Encoder
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.unit.engine import h2_peer as h2
from tests.unit.engine.h2_peer import GET, H2_ENGINES, HEAD, POST, H2Peer, frame
from tests.wire.harness import read_all

if TYPE_CHECKING:
    from random import Random

SOME = settings(max_examples=200, suppress_health_check=[HealthCheck.data_too_large])
DICE = st.randoms(use_true_random=False)

ODD_FIELDS: list[Any] = [
    [*GET, ("x", "y" * 200)],
    [*GET, ("cookie", "a"), ("cookie", "b")],
    [*GET, ("te", "trailers")],
    [*GET, ("priority", "u=1, i")],
    GET[1:],
    [*GET, ("Upper", "x")],
    [*GET, ("expect", "100-continue")],
    [(":method", "CONNECT"), (":authority", "a:1")],
    [*GET, ("x", "y" * 20_000)],
]
ODD_FRAMES = [
    frame(h2.DATA, 0, 0, b"x"),
    frame(h2.PING, 0, 0, b"short"),
    frame(h2.SETTINGS, 0, 0, pack(">HL", 4, 2**31)),
    frame(h2.HEADERS, 5, 2, b"\x82"),
    frame(h2.CONTINUATION, 4, 1, b""),
    frame(h2.WINDOW_UPDATE, 0, 0, bytes(4)),
    frame(h2.DATA, 0, 1, bytes(16_385)),
]


class Client:
    """Makes up frames, as the dice say."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.encoder = Encoder()
        self.next = 1
        self.unfinished: list[int] = []

    def play(self) -> bytes:
        frames = [h2.PREFACE, h2.settings(), frame(h2.SETTINGS, h2.ACK)]
        frames += [self.act() for _ in range(self.dice.randrange(1, 14))]
        if self.dice.randrange(6) == 0:
            frames += [self.dice.choice(ODD_FRAMES), self.act()]
        return b"".join(frames)

    def act(self) -> bytes:
        acts = [
            self.get,
            self.get,
            self.post,
            self.part,
            self.part,
            self.odd,
            self.control,
            self.reset,
        ]
        return self.dice.choice(acts)()

    def section(self, stream: int, fields: Any, end: bool) -> bytes:
        """A field section, in one frame or in several."""
        block = self.encoder.encode(fields)
        flags = h2.END_STREAM if end else 0
        at = self.dice.randrange(len(block)) if self.dice.randrange(3) == 0 else len(block)
        rest = block[at:]
        if len(block) > 16_384 and not rest:
            at, rest = 16_384, block[16_384:]
        if not rest:
            return frame(h2.HEADERS, flags | h2.END_HEADERS, stream, block)
        head = frame(h2.HEADERS, flags, stream, block[:at][:16_384])
        block = block[:at][16_384:] + rest
        pieces = [block[i : i + 16_384] for i in range(0, len(block), 16_384)]
        tail = [
            frame(h2.CONTINUATION, h2.END_HEADERS if piece is pieces[-1] else 0, stream, piece)
            for piece in pieces
        ]
        return head + b"".join(tail)

    def begin(self, fields: Any, end: bool) -> bytes:
        stream, self.next = self.next, self.next + 2
        if not end:
            self.unfinished.append(stream)
        return self.section(stream, fields, end)

    def get(self) -> bytes:
        return self.begin(self.dice.choice([GET, GET, HEAD]), True)

    def post(self) -> bytes:
        return self.begin(POST, False)

    def odd(self) -> bytes:
        return self.begin(self.dice.choice(ODD_FIELDS), True)

    def part(self) -> bytes:
        if not self.unfinished:
            return b""
        stream = self.dice.choice(self.unfinished)
        end = self.dice.randrange(2) == 0
        if end:
            self.unfinished.remove(stream)
        if end and self.dice.randrange(4) == 0:
            return self.section(stream, self.dice.choice([[("t", "u")], [("T", "u")]]), True)
        data = b"d" * self.dice.choice([0, 1, 10, 5000])
        flags = h2.END_STREAM if end else 0
        if self.dice.randrange(3) == 0:
            flags, data = flags | h2.PADDED, b"\x03" + data + bytes(3)
        return frame(h2.DATA, flags, stream, data)

    def reset(self) -> bytes:
        if not self.unfinished:
            return b""
        stream = self.unfinished.pop(self.dice.randrange(len(self.unfinished)))
        return frame(h2.RST_STREAM, 0, stream, pack(">L", h2.CANCEL))

    def control(self) -> bytes:
        return self.dice.choice(
            [
                frame(h2.PING, 0, 0, b"12345678"),
                h2.settings({3: 1}),
                h2.settings({0x77: 1}),
                frame(h2.WINDOW_UPDATE, 0, 0, b"\0\0\1\0"),
                frame(h2.PRIORITY, 0, self.next, pack(">LB", 0, 1)),
                frame(h2.PRIORITY_UPDATE, 0, 0, pack(">L", self.next) + b"u=2"),
                frame(0x7F, 0x55, 3, b"what is this?"),
            ]
        )


def echo(exchange):
    body = yield from read_all(exchange)
    exchange.start(200, [(b"x-body", b"%d" % len(body))])
    exchange.send(body or b"nothing")
    exchange.finish([(b"t", b"u")])


def outcome(engine: str, packets: list[bytes]) -> Any:
    """What a client sees, and what the daemon's observer is told."""
    peer = H2Peer(h2.line(engine, echo), greets=False)
    peer.say(*packets)
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
        for stream, answer in sorted(peer.answers.items())
    }
    refusals = [(violation.http_status, violation.h2_code) for violation in record.refusals]
    began = [(exchange.head.method, exchange.head.fields) for exchange in record.begun]
    states = sorted((exchange.status, exchange.state) for exchange in record.over)
    controls = (peer.goaways, peer.pongs, peer.settings_acks, peer.line.fate)
    return answers, refusals, began, states, controls


def cut(dice: Random, octets: bytes) -> list[bytes]:
    """The octets as packets, few or many."""
    count = dice.choice([1, 2, 5, 40])
    places = sorted(dice.randrange(len(octets) + 1) for _ in range(count))
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]


@pytest.mark.parametrize("engine", H2_ENGINES)
@given(dice=DICE)
@SOME
def test_packets_do_not_matter(engine: str, dice: Random) -> None:
    octets = Client(dice).play()
    note(repr(octets))
    assert outcome(engine, cut(dice, octets)) == outcome(engine, [octets])


@pytest.mark.parametrize("engine", [engine for engine in H2_ENGINES if engine != "pure"])
@given(dice=DICE)
@SOME
def test_engines_agree(engine: str, dice: Random) -> None:
    octets = Client(dice).play()
    note(repr(octets))
    assert outcome(engine, [octets]) == outcome("pure", cut(dice, octets))


@pytest.mark.parametrize("engine", H2_ENGINES)
@given(dice=DICE)
@SOME
def test_no_octets_do_harm(engine: str, dice: Random) -> None:
    """Whatever comes, and however long it takes: what was begun is over in the end, once."""
    octets = bytearray(Client(dice).play())
    for _ in range(dice.randrange(1, 5)):
        octets[dice.randrange(len(h2.PREFACE), len(octets))] = dice.randrange(256)
    note(repr(bytes(octets)))
    one = h2.line(engine, echo, high_water=dice.choice([None, 100, 5000]))
    for packet in cut(dice, bytes(octets)):
        one.feed(packet).wait(dice.choice([0, 0, 1, 60]))
    one.lost()
    assert sorted(map(id, one.record.begun)) == sorted(map(id, one.record.over))
