"""The connection of HTTP/3: what is said beside requests, its errors, its time and its end."""

from __future__ import annotations

import pytest

from granian_d.engine.contract import NEVER, Leave
from granian_d.engine.pure.h3.attacks import LIMITS, RESETS
from granian_d.errors import Disconnected
from granian_d.http.message import Peer
from tests.unit.engine.h3_peer import (
    CANCEL_PUSH,
    CLOSED_CRITICAL_STREAM,
    CONTROL,
    DATA,
    DECODER,
    DECODER_STREAM_ERROR,
    DECOMPRESSION_FAILED,
    ENCODER,
    ENCODER_STREAM_ERROR,
    EXCESSIVE_LOAD,
    FRAME_ERROR,
    FRAME_UNEXPECTED,
    GET,
    GOAWAY,
    GREASE,
    HEADERS,
    ID_ERROR,
    MAX_PUSH_ID,
    MESSAGE_ERROR,
    MISSING_SETTINGS,
    NO_ERROR,
    POST,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    REQUEST_CANCELLED,
    REQUEST_INCOMPLETE,
    REQUEST_REJECTED,
    SETTINGS,
    SETTINGS_ERROR,
    STREAM_CREATION_ERROR,
    H3Peer,
    frame,
    headers,
    http2,
    section,
    settings,
    varint,
)
from tests.unit.engine.test_h3_requests import echo, never
from tests.unit.plan.specimens import WEBSOCKET
from tests.wire.harness import answer_ok

OF_HTTP2 = (2, 6, 8, 9)
NUMBER = b"\x04"


# --- what we say ----------------------------------------------------------------------------------


def test_our_settings():
    peer = H3Peer(answer_ok, greets=False, http2=http2(fields_bytes=70_000))
    peer.listen()
    assert {name: value for name, value in peer.settings.items() if name != GREASE} == {6: 70_000}
    assert GREASE in peer.settings
    peer = H3Peer(answer_ok, websocket=WEBSOCKET).listen()
    assert peer.settings[8] == 1


# --- connection errors ----------------------------------------------------------------------------

CONTROL_FAULTS = {
    "no SETTINGS": (b"\0" + frame(GOAWAY, b"\0"), MISSING_SETTINGS),
    "something unknown before SETTINGS": (b"\0" + frame(GREASE), MISSING_SETTINGS),
    "DATA before SETTINGS": (b"\0" + frame(DATA), FRAME_UNEXPECTED),
    "SETTINGS twice": (b"\0" + settings() + settings(), FRAME_UNEXPECTED),
    "a setting twice": (b"\0" + frame(SETTINGS, b"\x21\1\x21\1"), SETTINGS_ERROR),
    "half a setting": (b"\0" + frame(SETTINGS, b"\x21"), FRAME_ERROR),
    "half a name": (b"\0" + frame(SETTINGS, b"\x40"), FRAME_ERROR),
    "half a value": (b"\0" + frame(SETTINGS, b"\x21\x40"), FRAME_ERROR),
    "a setting that is no flag": (b"\0" + settings({8: 2}), SETTINGS_ERROR),
    "SETTINGS without bounds": (b"\0" + varint(SETTINGS) + varint(2**40), EXCESSIVE_LOAD),
    **{
        f"setting {name} of HTTP/2": (b"\0" + settings({name: 1}), SETTINGS_ERROR)
        for name in (0, 2, 3, 4, 5)
    },
    **{
        f"frame {kind} in control": (b"\0" + settings() + frame(kind, b"x"), FRAME_UNEXPECTED)
        for kind in (DATA, HEADERS, PUSH_PROMISE, *OF_HTTP2)
    },
    **{
        f"frame {kind}: {what}": (b"\0" + settings() + frame(kind, payload), FRAME_ERROR)
        for kind in (GOAWAY, MAX_PUSH_ID, CANCEL_PUSH)
        for what, payload in {"empty": b"", "too long": b"\0\0", "cut": b"\x40"}.items()
    },
    "a GOAWAY that grows": (
        b"\0" + settings() + frame(GOAWAY, b"\0") + frame(GOAWAY, NUMBER),
        ID_ERROR,
    ),
    "a MAX_PUSH_ID that shrinks": (
        b"\0" + settings() + frame(MAX_PUSH_ID, NUMBER) + frame(MAX_PUSH_ID, b"\0"),
        ID_ERROR,
    ),
    "no push to cancel": (b"\0" + settings() + frame(CANCEL_PUSH, b"\0"), ID_ERROR),
    "priority of a push": (b"\0" + settings() + frame(PRIORITY_UPDATE + 1, b"\0"), ID_ERROR),
    "priority of no request": (b"\0" + settings() + frame(PRIORITY_UPDATE, b"\2"), ID_ERROR),
    "priority of nothing": (b"\0" + settings() + frame(PRIORITY_UPDATE), FRAME_ERROR),
    "push by a client": (b"\1", STREAM_CREATION_ERROR),
    "a table": (b"\2\x3f\xe1\x1f", ENCODER_STREAM_ERROR),
    "an entry": (b"\2\xc0\1a", ENCODER_STREAM_ERROR),
    "an acknowledgement of nothing": (b"\3\x80", DECODER_STREAM_ERROR),
    "an increment of nothing": (b"\3\0", DECODER_STREAM_ERROR),
}
REQUEST_FAULTS = {
    "DATA first": (frame(DATA, b"x"), FRAME_UNEXPECTED),
    "sections without end": (headers(POST) + headers([("t", "u")]) * 2, FRAME_UNEXPECTED),
    "DATA behind trailers": (
        headers(POST) + headers([("t", "u")]) + frame(DATA, b""),
        FRAME_UNEXPECTED,
    ),
    **{
        f"frame {kind} on a request": (headers(POST) + frame(kind, NUMBER), FRAME_UNEXPECTED)
        for kind in (
            *(CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID),
            *(PRIORITY_UPDATE, PRIORITY_UPDATE + 1, *OF_HTTP2),
        )
    },
    "the end within a section": (headers(POST)[:-1], FRAME_ERROR),
    "the end within DATA": (headers(POST) + frame(DATA, b"xyz")[:-1], FRAME_ERROR),
    "the end within what is unknown": (frame(GREASE, b"xyz")[:-1], FRAME_ERROR),
    "the end within the head of a frame": (headers(POST) + b"\x40", FRAME_ERROR),
    "a section that refers to a table": (frame(HEADERS, b"\2\0\x80"), DECOMPRESSION_FAILED),
    "a section of garbage": (frame(HEADERS, b"\0\0\xff"), DECOMPRESSION_FAILED),
    "an empty section": (frame(HEADERS, b""), DECOMPRESSION_FAILED),
    "trailers of garbage": (headers(POST) + frame(HEADERS, b"\0\0\xff"), DECOMPRESSION_FAILED),
}


@pytest.mark.parametrize(("octets", "code"), CONTROL_FAULTS.values(), ids=CONTROL_FAULTS)
def test_faults_beside_requests(octets, code):
    peer = H3Peer(never, greets=False)
    peer.ask()
    peer.say(CONTROL, octets)
    assert peer.code == code
    assert [refusal.h3_code for refusal in peer.record.refusals] == [code]
    assert peer.record.over == peer.record.begun
    assert peer.endpoint.deadline == NEVER


@pytest.mark.parametrize(("octets", "code"), REQUEST_FAULTS.values(), ids=REQUEST_FAULTS)
def test_faults_of_requests(octets, code):
    peer = H3Peer(echo)
    peer.say(0, octets, end=True)
    assert peer.code == code
    assert sorted(map(id, peer.record.begun)) == sorted(map(id, peer.record.over))


def test_a_stream_without_a_request():
    peer = H3Peer(answer_ok)
    peer.say(0, b"", end=True)
    peer.say(4, frame(GREASE, b"x"), end=True)
    assert [peer.answers[stream].reset for stream in (0, 4)] == [REQUEST_INCOMPLETE] * 2
    assert peer.fate is None


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_critical_streams(kind):
    for end in ("ended", "reset", "twice", "at once"):
        peer = H3Peer(answer_ok, greets=False)
        octets = varint(kind) + (settings() if kind == 0 else b"")
        peer.say(CONTROL, octets, end=end == "at once")
        assert (peer.fate is None) == (end != "at once")
        if end == "ended":
            peer.say(CONTROL, b"", end=True)
        elif end == "reset":
            peer.reset(CONTROL)
        elif end == "twice":
            peer.say(CONTROL + 4, octets)
        assert peer.code == (STREAM_CREATION_ERROR if end == "twice" else CLOSED_CRITICAL_STREAM)


def test_our_control_stream_must_not_be_stopped():
    peer = H3Peer(answer_ok)
    peer.stop(3)
    assert peer.code == CLOSED_CRITICAL_STREAM


def test_streams_that_mean_nothing():
    peer = H3Peer(answer_ok)
    kind = varint(0x1F * 7 + 0x21)
    peer.say(ENCODER, kind[:1]).say(ENCODER, kind[1:] + b"anything")
    assert peer.link.stops == {ENCODER: STREAM_CREATION_ERROR}
    peer.say(ENCODER, b"more").reset(ENCODER)
    peer.say(DECODER, kind, end=True)
    peer.say(DECODER + 4, b"", end=True).say(DECODER + 8, b"\x40", end=True)
    peer.reset(DECODER + 12)
    assert peer.link.credit[ENCODER] == len(kind) + 12
    assert peer.fate is None


def test_what_is_said_of_tables_and_is_true():
    peer = H3Peer(answer_ok)
    peer.say(ENCODER, b"\2\x20")  # a capacity of 0
    peer.say(DECODER, b"\3\x44")  # a stream is cancelled
    peer.control(frame(MAX_PUSH_ID, NUMBER) + frame(MAX_PUSH_ID, b"\x05") + frame(GREASE, b"x"))
    assert peer.answers[peer.ask()].body == b"ok"


def test_settings_do_not_matter_to_us():
    peer = H3Peer(answer_ok, greets=False)
    peer.control(b"\0" + settings({1: 4096, 7: 100, 6: 10, 0x33: 1, 8: 1, 2**60: 2**60}))
    assert peer.answers[peer.ask()].body == b"ok"


def test_a_request_before_any_settings():
    peer = H3Peer(answer_ok, greets=False)
    assert peer.answers[peer.ask()].body == b"ok"


# --- 0-RTT ----------------------------------------------------------------------------------------


def early(app, fields, *, end=True):
    peer = H3Peer(app)
    peer.link.established = False
    peer.link.early = {0}
    peer.say(0, headers(fields), end=end)
    return peer


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_what_is_early_and_safe(method):
    assert early(answer_ok, [(":method", method), *GET[1:]]).answers[0].status == 200


@pytest.mark.parametrize(("fields", "end"), [(POST, True), (GET, False)])
def test_what_is_early_and_has_to_wait(fields, end):
    peer = early(echo, fields, end=end)
    if not end:
        peer.data(0, b"body", end=True)
    assert peer.answers[0].status == 0
    peer.link.established = True
    peer.endpoint.feed_established()
    assert peer.listen().answers[0].body == (b"" if end else b"body")


def test_what_is_early_and_reset():
    peer = early(never, POST, end=False)
    peer.reset(0)
    peer.endpoint.feed_established()
    assert peer.service.runs == []
    assert peer.record.over == peer.record.begun


# --- how it ends ----------------------------------------------------------------------------------


def test_a_drain_says_goodbye_twice():
    peer = H3Peer(echo)
    peer.link.acknowledges = False
    late = peer.ask(POST, end=False)
    peer.endpoint.drain(Leave(30.0))
    assert peer.listen().goaways == [2**62 - 4]
    between = peer.ask()
    assert peer.answers[between].status == 200, "it was under way"
    peer.acknowledge()
    assert peer.goaways == [2**62 - 4, 8]
    refused = peer.ask()
    assert peer.answers[refused].reset == REQUEST_REJECTED
    assert peer.link.stops[refused] == REQUEST_REJECTED
    peer.data(refused, b"late as well")
    peer.data(late, b"x", end=True)
    assert peer.answers[late].body == b"x"
    assert peer.fate is None, "not everything was acknowledged"
    peer.acknowledge()
    assert peer.fate == (NO_ERROR, "")
    assert len(peer.record.over) == 2


def test_a_peer_that_acknowledges_nothing():
    peer = H3Peer(answer_ok)
    peer.link.acknowledges = False
    peer.ask()
    peer.endpoint.drain(Leave(30.0))
    peer.wait(1.5)
    assert peer.goaways == [2**62 - 4, 4]
    assert peer.fate is None
    peer.wait(11)
    assert peer.code == NO_ERROR


def test_an_overtaken_stream_is_not_refused():
    peer = H3Peer(answer_ok)
    peer.say(4, headers(GET), end=True)
    peer.endpoint.drain(Leave(0.0))
    assert peer.listen().goaways == [2**62 - 4, 8]
    assert peer.fate is not None


def test_a_drain_waits_for_what_is_under_way():
    peer = H3Peer(never)
    peer.say(4, headers(GET), end=True)
    peer.endpoint.drain(Leave(0.0))
    peer.listen()
    peer.say(0, headers(GET), end=True)
    assert len(peer.record.begun) == 2, "opened by the client before that"
    for exchange in peer.record.begun:
        exchange.start(200, [])
        exchange.send(b"end", last=True)
    peer.listen()
    assert [peer.answers[stream].body for stream in (0, 4)] == [b"end", b"end"]
    assert peer.code == NO_ERROR


def test_a_peer_that_leaves():
    peer = H3Peer(never)
    peer.ask()
    peer.control(frame(GOAWAY, b"\0"))
    assert peer.fate is None
    peer.record.begun[0].start(200, [])
    peer.record.begun[0].finish()
    peer.listen()
    assert (peer.code, peer.goaways) == (NO_ERROR, [4])


def test_a_connection_without_requests():
    peer = H3Peer(answer_ok, idle_timeout_s=5.0)
    peer.wait(4).ask()
    peer.wait(4.5)
    assert peer.fate is None
    peer.wait(1)
    assert (peer.code, peer.goaways) == (NO_ERROR, [4])


def test_one_request_a_connection():
    peer = H3Peer(never, keep_alive=False)
    peer.ask()
    assert peer.goaways == [4]
    assert peer.answers[peer.ask()].reset == REQUEST_REJECTED
    peer.record.begun[0].start(200, [])
    peer.record.begun[0].finish()
    peer.listen()
    assert peer.code == NO_ERROR


def test_requests_under_way_can_be_cut():
    peer = H3Peer(never)
    peer.ask()
    peer.ask()
    found = []
    peer.endpoint.under_way(found)
    assert found == peer.record.begun
    peer.endpoint.reset(found[1])
    assert peer.listen().answers[4].reset == REQUEST_CANCELLED
    assert peer.record.over == found[1:]


def test_the_peer_s_new_address():
    peer = H3Peer(answer_ok)
    peer.ask()
    before, peer.link.peer = peer.link.peer, Peer(("192.0.2.9", 1), None, "https")
    peer.ask()
    assert [exchange.peer for exchange in peer.record.begun] == [before, peer.link.peer]


# --- time -----------------------------------------------------------------------------------------


def test_a_head_that_does_not_come():
    peer = H3Peer(answer_ok, head_timeout_s=5.0)
    peer.say(0, headers(GET)[:5])
    peer.wait(4.5)
    assert peer.answers[0].status == 0
    peer.wait(1)
    assert (peer.answers[0].status, peer.answers[0].ended) == (408, True)
    assert peer.answers[0].fields[b"content-length"] == b"0", "it may have been a HEAD"
    assert peer.link.stops == {0: NO_ERROR}
    assert peer.fate is None


def test_a_body_that_does_not_come():
    peer = H3Peer(echo, body_timeout_s=5.0)
    stream = peer.ask(POST, end=False)
    peer.wait(4).data(stream, b"x").wait(4.5)
    assert peer.answers[stream].status == 0
    peer.wait(1)
    assert peer.answers[stream].status == 408
    assert peer.record.over[0].status == 408


def test_a_body_that_does_not_come_behind_the_answer_s_head():
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x")
        while (part := exchange.pull()) != b"":
            assert part is None
            yield exchange.when_readable

    peer = H3Peer(app, body_timeout_s=5.0)
    stream = peer.ask(POST, end=False)
    peer.wait(6)
    assert peer.answers[stream].reset == REQUEST_CANCELLED
    assert len(peer.record.over) == 1


def test_an_answer_that_is_not_read():
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x" * 1000, last=True)
        yield from ()

    peer = H3Peer(app, write_timeout_s=5.0)
    peer.link.rooms[0] = 0
    peer.ask()
    peer.wait(4).room(0, 10).wait(4.5)
    assert peer.answers[0].reset is None, "there was progress"
    peer.wait(1)
    assert peer.answers[0].reset == REQUEST_CANCELLED
    assert len(peer.record.over) == 1


def test_no_limits_of_time():
    peer = H3Peer(
        never, head_timeout_s=0.0, idle_timeout_s=0.0, body_timeout_s=0.0, write_timeout_s=0.0
    )
    peer.ask(POST, end=False)
    peer.say(4, b"\1")
    assert peer.endpoint.deadline == NEVER


# --- too much -------------------------------------------------------------------------------------


def flood(peer, step, most):
    for _ in range(most):
        step()
    assert peer.fate is None
    step()
    assert peer.code == EXCESSIVE_LOAD
    assert peer.record.refusals[-1].section == "RFC 9114 10.5"


@pytest.mark.parametrize(
    "octets",
    [
        frame(GREASE),
        frame(GOAWAY, b"\0"),
        frame(MAX_PUSH_ID, b"\0"),
        frame(PRIORITY_UPDATE, b"\0u=1"),
    ],
)
def test_too_many_frames_of_control(octets):
    peer = H3Peer(never)
    peer.ask()
    kind = {GREASE: -1}.get(octets[0], int.from_bytes(octets[:4], "big") & 0x3FFFFFFF)
    kind = kind if octets[0] & 0x80 or octets[0] == GREASE else octets[0]
    flood(peer, lambda: peer.control(octets), LIMITS[kind].most)


def test_slowly_they_do_no_harm():
    peer = H3Peer(never, idle_timeout_s=0.0)
    for _ in range(250):
        peer.control(frame(MAX_PUSH_ID, b"\0")).wait(0.25)
    assert peer.fate is None


@pytest.mark.parametrize("octets", [frame(GREASE), frame(DATA)])
def test_too_many_frames_of_nothing(octets):
    peer = H3Peer(echo)
    stream = peer.ask(POST, end=False)
    most = 1000 if octets == frame(GREASE) else 100
    flood(peer, lambda: peer.say(stream, octets), most)


def test_a_row_of_empty_data_that_is_broken():
    peer = H3Peer(echo)
    stream = peer.ask(POST, end=False)
    for _ in range(300):
        peer.say(stream, frame(DATA) + frame(DATA) + frame(DATA, b"x"))
    peer.say(stream, b"", end=True)
    assert peer.answers[stream].body == b"x" * 300


@pytest.mark.parametrize("how", ["reset", "stop", "malformed"])
def test_rapid_resets(how):
    """CVE-2023-44487, CVE-2025-8671."""
    peer = H3Peer(never)

    def step():
        if how == "malformed":
            peer.ask(GET[1:])
        else:
            getattr(peer, how)(peer.ask(POST, end=False))

    flood(peer, step, LIMITS[RESETS].most)


def test_resets_beside_answers():
    peer = H3Peer(echo)
    for _ in range(LIMITS[RESETS].most * 2):
        peer.ask()
        peer.reset(peer.ask(POST, end=False))
    assert peer.fate is None


def test_streams_of_nothing():
    peer = H3Peer(never)
    numbers = iter(range(CONTROL + 4, 100_000, 4))
    flood(peer, lambda: peer.say(next(numbers), b"\x21", end=True), 1000)


def test_requests_behind_goaway():
    peer = H3Peer(never)
    peer.ask()
    peer.endpoint.drain(Leave(0.0))
    flood(peer, peer.ask, 1000)


def test_a_section_far_too_large_is_not_kept():
    peer = H3Peer(answer_ok, head_bytes=1000)
    block = section([*GET, ("x", "y" * 60_000)])
    octets = frame(HEADERS, block)
    peer.say(0, octets[:10])
    assert (peer.answers[0].status, peer.answers[0].kinds) == (431, [HEADERS])
    peer.say(0, octets[10:], end=True)
    assert peer.link.credit[0] == len(octets)
    assert peer.fate is None


def test_trailers_far_too_large():
    peer = H3Peer(echo, head_bytes=1000)
    stream = peer.ask(POST, end=False)
    peer.say(stream, headers([("x", "y" * 60_000)]), end=True)
    assert peer.answers[stream].status == 431
    with pytest.raises(Disconnected):
        peer.record.over[0].start(200, [])


def test_malformed_trailers_far_too_late():
    peer = H3Peer(answer_ok)
    stream = peer.ask(POST, end=False)
    peer.say(stream, headers([(":x", "y")]), end=True)
    assert peer.answers[stream].reset == MESSAGE_ERROR
