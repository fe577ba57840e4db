"""However the octets of a client's streams are cut into packets, the same is answered.

A play is a list of frames for some streams, most of them good. What the packets do change, and is
not compared, is whether the body of a request was asked for before its end had come (100), and what
the connection's fault met on other streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.property.test_h2_splits import cut, echo
from tests.unit.engine import h3_peer as h3
from tests.unit.engine.h3_peer import GET, HEAD, POST, H3Peer, frame, headers

if TYPE_CHECKING:
    from random import Random

SOME = settings(max_examples=200, suppress_health_check=[HealthCheck.data_too_large])
DICE = st.randoms(use_true_random=False)

SECTIONS: list[Any] = [
    GET,
    HEAD,
    POST,
    POST,
    POST,
    [*GET, ("x", "y" * 200)],
    [*GET, ("cookie", "a"), ("cookie", "b")],
    [*GET, ("priority", "u=1, i")],
    GET[1:],
    [*GET, ("Upper", "x")],
    [*POST, ("expect", "100-continue")],
    [*POST, ("content-length", "10")],
    [(":method", "CONNECT"), (":authority", "a:1")],
    [*GET, ("x", "y" * 20_000)],
]
ODD_FRAMES = [
    frame(h3.PUSH_PROMISE, b"x"),
    frame(h3.SETTINGS),
    frame(h3.HEADERS, b"\2\0\x80"),
    b"\x40",
]


def request(dice: Random) -> bytes:
    """All octets of one stream."""
    pieces = [headers(dice.choice(SECTIONS))]
    sizes = [dice.choice([0, 1, 10, 5000]) for _ in range(dice.choice([0, 0, 1, 3]))]
    pieces += [frame(h3.DATA, b"d" * size) for size in sizes]
    if dice.randrange(4) == 0:
        pieces.append(headers(dice.choice([[("t", "u")], [("T", "u")]])))
    for _ in range(dice.choice([0, 0, 2])):
        pieces.insert(dice.randrange(len(pieces) + 1), frame(h3.GREASE, b"x" * 5))
    if dice.randrange(12) == 0:
        pieces.insert(dice.randrange(len(pieces) + 1), dice.choice(ODD_FRAMES))
    return b"".join(pieces)


def control(dice: Random) -> bytes:
    said = [frame(h3.MAX_PUSH_ID, b"\5"), frame(0xF0700, b"\0u=2"), frame(h3.GREASE, b"?")]
    pieces = [dice.choice(said) for _ in range(dice.randrange(4))]
    return b"".join([b"\0", h3.settings({0x77: 1}), *pieces])


def outcome(stream: int, packets: list[bytes]) -> Any:
    """What a client sees, and what the daemon's observer is told.

    The end comes with the last octet: else a request may have begun before it is known to be short.
    Nothing leaves before that: else an answer may be over, and nobody cares for the rest.
    """
    peer = H3Peer(echo)
    packets = [packet for packet in packets if packet]
    for packet in packets[:-1]:
        if peer.fate is None:
            peer.endpoint.feed_stream(stream, packet, False)
    peer.say(stream, packets[-1], end=stream != h3.CONTROL + 4)
    answer = peer.answers[stream]
    seen = (
        answer.status,
        {name: value for name, value in answer.fields.items() if name != b"date"},
        answer.body,
        answer.trailers,
        answer.ended,
        answer.reset,
    )
    refusals = [(violation.http_status, violation.h3_code) for violation in peer.record.refusals]
    began = [(exchange.head.method, exchange.head.fields) for exchange in peer.record.begun]
    states = [(exchange.status, exchange.state) for exchange in peer.record.over]
    return seen if peer.fate is None else None, refusals, began, states, peer.fate


def interleaved(dice: Random, packets: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Those of each stream in order, the streams in any."""
    places = sorted(range(len(packets)), key=lambda _: dice.random())
    turns = iter([packets[place][0] for place in places])
    queues: dict[int, list[bytes]] = {}
    for stream, packet in packets:
        queues.setdefault(stream, []).append(packet)
    return [(stream, queues[stream].pop(0)) for stream in turns]


@given(dice=DICE)
@SOME
def test_packets_do_not_matter(dice: Random) -> None:
    octets = request(dice)
    note(repr(octets))
    assert outcome(0, cut(dice, octets)) == outcome(0, [octets])


@given(dice=DICE)
@settings(max_examples=50)
def test_packets_of_control_do_not_matter(dice: Random) -> None:
    octets = dice.choice([control(dice), b"\2\x20", b"\3\x44\x80", b"\0" + frame(h3.GOAWAY, b"\0")])
    note(repr(octets))
    assert outcome(h3.CONTROL + 4, cut(dice, octets)) == outcome(h3.CONTROL + 4, [octets])


@given(dice=DICE)
@SOME
def test_no_octets_do_harm(dice: Random) -> None:
    """Whatever comes, and however long it takes: what was begun is over in the end, once."""
    peer = H3Peer(echo, greets=False)
    streams = {0: request(dice), 4: request(dice), 8: request(dice), 2: control(dice)}
    streams[6] = dice.choice([b"\2\x20", b"\3", b"\x21anything"])
    packets = []
    for stream, octets in streams.items():
        harmed = bytearray(octets)
        for _ in range(dice.choice([0, 0, 1, 3])):
            harmed[dice.randrange(len(harmed))] = dice.randrange(256)
        packets += [(stream, packet) for packet in cut(dice, bytes(harmed))]
    note(repr(packets))
    over = set()  # streams of which nothing can come any more
    for stream, packet in interleaved(dice, packets):
        if stream in over:
            continue
        peer.link.rooms[stream] = dice.choice([0, 100, 10_000])
        end = dice.randrange(10) == 0
        if packet or end:
            peer.say(stream, packet, end=end)
        if dice.randrange(10) == 0:
            peer.wait(dice.choice([1, 60]))
        if dice.randrange(20) == 0:
            (peer.reset if end or dice.randrange(2) else peer.stop)(stream)
            over.add(stream)
        if end:
            over.add(stream)
    peer.lost()
    assert sorted(map(id, peer.record.begun)) == sorted(map(id, peer.record.over))
