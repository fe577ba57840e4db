"""Requests on streams of HTTP/3, and what becomes of the answers."""

from __future__ import annotations

import pytest

from granian_d.errors import Disconnected, FlowError, InvalidResponse, ProtocolViolation
from granian_d.http import states
from tests.unit.engine.h3_peer import (
    DATA,
    GET,
    GREASE,
    HEAD,
    HEADERS,
    INTERNAL_ERROR,
    MESSAGE_ERROR,
    NO_ERROR,
    POST,
    REQUEST_CANCELLED,
    H3Peer,
    frame,
    headers,
    http2,
    http3,
)
from tests.wire.harness import answer_ok, read_all


def echo(exchange):
    body = yield from read_all(exchange)
    exchange.start(200, [(b"X-Method", exchange.head.method.encode())])
    exchange.send(body, last=True)


def forever(callback):
    """What is waited for does not come."""


def never(exchange):
    yield forever


def test_a_request_and_its_answer():
    peer = H3Peer(answer_ok)
    answer = peer.answers[peer.ask()]
    assert (answer.status, answer.body, answer.ended) == (200, b"ok", True)
    assert answer.fields[b"content-length"] == b"2"
    assert answer.fields[b"server"] == b"granian-d"
    assert answer.fields[b"date"].endswith(b"GMT")
    [exchange] = peer.record.over
    assert exchange.head.version == "3"
    assert (exchange.status, exchange.sent_bytes, exchange.state) == (200, 2, states.FINISHED)
    assert peer.link.stops == peer.link.resets == {}


def test_head_and_body_are_sent_at_once():
    peer = H3Peer(answer_ok)
    before = len(peer.link.sends)
    stream = peer.ask()
    assert peer.link.sends[before:] == [stream]


def test_an_exchange_is_over_when_its_answer_has_left():
    peer = H3Peer(answer_ok)
    peer.link.rooms[0] = 3
    peer.ask()
    assert peer.record.over == []
    found = []
    peer.endpoint.under_way(found)
    assert found == peer.record.begun
    peer.room(0, 1000)
    assert peer.record.over == peer.record.begun


def test_a_body_in_parts():
    peer = H3Peer(echo)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"he").data(stream, b"llo").data(stream, b"", end=True)
    assert peer.answers[stream].body == b"hello"
    assert peer.link.credit[stream] == len(headers(POST)) + 4 + 5


def test_what_means_nothing_is_passed_over():
    peer = H3Peer(echo)
    odd = frame(GREASE, b"x" * 100) + frame(0x1F * 1000 + 0x21) + frame(0xF0703, b"y")
    peer.say(0, odd + headers(POST) + odd + frame(DATA, b"a") + odd)
    peer.say(0, frame(DATA, b"b") + odd, end=True)
    assert peer.answers[0].body == b"ab"


def test_streams_that_overtake_each_other():
    peer = H3Peer(echo)
    for stream in (8, 0, 12, 4):
        peer.say(stream, headers(GET), end=True)
        assert peer.answers[stream].status == 200
    peer.say(4, headers(GET), end=True)
    assert len(peer.record.over) == 4, "the stream is closed"


def test_a_section_that_repeats_is_the_same_request_again():
    def app(exchange):
        seen.append((exchange.head.raw_path, exchange.head.query, list(exchange.head.fields)))
        exchange.head.fields.append((b"x", b"y"))
        exchange.start(204, [])
        exchange.finish()
        yield from ()

    seen = []
    peer = H3Peer(app)
    for _ in range(3):
        peer.ask(GET, ("a", "b"))
    peer.say(16, headers([*GET, ("a", "b")]))
    assert seen == [(b"/", b"", [(b"a", b"b")])] * 4
    assert peer.record.begun[-1].head.content_length is None


def test_a_section_that_differs_in_its_path():
    peer = H3Peer(answer_ok)
    paths = ["/", "/a?b", "/a?b", "x", "/c", "/" + "d" * 20_000, "/e"]
    for path in paths:
        peer.ask([*GET[:3], (":path", path), ("x", "y")])
    heads = [exchange.head for exchange in peer.record.begun]
    assert [(head.raw_path, head.query) for head in heads] == [
        *((b"/", b""), (b"/a", b"b"), (b"/a", b"b"), (b"/c", b""), (b"/e", b"")),
    ]
    assert all(head.fields == [(b"x", b"y")] for head in heads)
    assert peer.answers[12].reset == MESSAGE_ERROR
    assert peer.answers[20].status == 431


def test_interim_answers_and_trailers():
    def app(exchange):
        yield from read_all(exchange)
        exchange.inform(103, [(b"Link", b"</x>")])
        exchange.start(201, [(b"X", b"y")])
        exchange.send(b"hello")
        exchange.finish([(b"T", b"u")])

    peer = H3Peer(app)
    answer = peer.answers[peer.ask(POST, ("te", "trailers"))]
    assert (answer.interims, answer.status, answer.body) == ([103], 201, b"hello")
    assert (answer.trailers, answer.ended) == ([(b"t", b"u")], True)
    assert peer.answers[peer.ask(POST)].trailers == [], "who did not ask for them"


def test_continue_when_the_body_is_wanted():
    peer = H3Peer(echo)
    stream = peer.ask(POST, ("expect", "100-continue"), end=False)
    assert peer.answers[stream].interims == [100]
    peer.data(stream, b"x", end=True)
    assert peer.answers[stream].body == b"x"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_content(status):
    def app(exchange):
        exchange.start(status, [])
        exchange.send(b"dropped", last=True)
        yield from ()

    peer = H3Peer(app)
    answer = peer.answers[peer.ask()]
    assert (answer.status, answer.kinds, answer.ended) == (status, [HEADERS], True)


def test_an_answer_to_head():
    peer = H3Peer(answer_ok)
    answer = peer.answers[peer.ask(HEAD)]
    assert (answer.kinds, answer.fields[b"content-length"]) == ([HEADERS], b"2")


def test_trailers_of_a_request_are_dropped():
    peer = H3Peer(echo)
    peer.say(0, headers(POST) + frame(DATA, b"x") + headers([("t", "u")]), end=True)
    assert peer.answers[0].body == b"x"
    assert peer.record.begun[0].head.fields == []


@pytest.mark.parametrize(
    "octets",
    [
        headers(GET[1:]),
        headers([*GET, ("Upper", "x")]),
        headers([*GET, ("connection", "close")]),
        headers([*GET, ("x", "a\0b")]),
        headers([*POST, ("content-length", "1")]) + frame(DATA, b"xy"),
        headers([*POST, ("content-length", "3")]) + frame(DATA, b"xy"),
        headers([*POST, ("content-length", "3")]) + frame(DATA, b"xy") + frame(DATA, b"zz"),
        headers([*GET, ("content-length", "3")]),
        headers(POST) + headers([(":status", "200")]),
        headers(POST) + headers([("T", "u")]),
    ],
)
def test_what_is_malformed_costs_its_stream(octets):
    peer = H3Peer(answer_ok)
    peer.say(0, octets, end=True)
    assert peer.answers[0].reset == MESSAGE_ERROR
    assert len(peer.record.refusals) == 1
    assert peer.record.refusals[0].section.startswith("RFC 9")
    assert peer.fate is None
    peer.say(4, headers(GET), end=True)
    assert peer.answers[4].body == b"ok"
    assert sorted(map(id, peer.record.begun)) == sorted(map(id, peer.record.over))


def test_rules_are_named_after_their_rfc():
    peer = H3Peer(answer_ok)
    peer.ask([*GET, ("Upper", "x")])
    assert peer.record.refusals[0].section == "RFC 9114 4.2"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(":method", "CONNECT"), (":authority", "a:1")], 501),
        ([*GET, ("expect", "miracles")], 417),
        ([*GET, *[("x", "y")] * 101], 431),
        ([*GET, ("x", "y" * 20_000)], 431),
        ([*GET, *[("x", b"\xff" * 40_000)] * 2], 431),
        ([*POST, ("content-length", "101")], 413),
    ],
)
def test_what_is_refused_with_an_answer(fields, status):
    peer = H3Peer(answer_ok, body_bytes=100)
    stream = peer.ask(fields, end=False)
    answer = peer.answers[stream]
    assert (answer.status, answer.ended, answer.reset) == (status, True, None)
    assert int(answer.fields[b"content-length"]) >= len(answer.body)
    assert peer.link.stops[stream] == NO_ERROR, "the rest is of no use"
    assert [refusal.http_status for refusal in peer.record.refusals] == [status]
    peer.data(stream, b"x" * 100, end=True)
    assert peer.answers[peer.ask()].body == b"ok"


def test_a_refusal_of_a_head_request_has_no_content():
    peer = H3Peer(answer_ok)
    assert peer.answers[peer.ask([*HEAD, ("expect", "miracles")])].kinds == [HEADERS]


def test_a_field_too_large_for_the_library():
    peer = H3Peer(
        answer_ok, head_bytes=1_000_000, http2=http2(fields_bytes=1_000_000), body_bytes=100
    )
    size = 70_000
    value = bytes([0x7F, 0x80 | size - 127 & 0x7F, 0x80 | size - 127 >> 7 & 0x7F, size - 127 >> 14])
    block = b"\0\0\x21x" + value + b"y" * size
    peer.say(0, frame(HEADERS, block), end=True)
    assert (peer.answers[0].status, peer.fate) == (431, None)


def test_a_field_of_an_answer_too_large_for_the_library():
    def app(exchange):
        exchange.start(200, [(b"Large", b"x" * 70_000), (b"y", b"")])
        exchange.send(b"", last=True)
        yield from ()

    peer = H3Peer(app)
    peer.endpoint.feed_stream(0, headers(GET), True)
    octets = peer.link.queued[0]
    assert octets.count(b"x" * 70_000) == 1
    at = octets.index(b"x" * 70_000)
    size = 70_000 - 127
    assert octets[at - 4 : at] == bytes(
        [0x7F, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]
    )
    assert octets[at - 9 : at - 4] == b"large"
    assert octets[at - 10] == 0x20 | 5


def test_a_body_beyond_the_limit():
    peer = H3Peer(echo, body_bytes=10)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"x" * 6).data(stream, b"x" * 5)
    answer = peer.answers[stream]
    assert (answer.status, answer.ended) == (413, True)
    assert peer.link.stops == {stream: NO_ERROR}
    [exchange] = peer.record.over
    assert exchange.status == 413
    with pytest.raises(ProtocolViolation):
        while exchange.pull():
            pass


def test_an_answer_before_the_end_of_the_request():
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"early", last=True)
        yield from ()

    peer = H3Peer(app)
    stream = peer.ask(POST, end=False)
    assert (peer.answers[stream].body, peer.answers[stream].reset) == (b"early", None)
    assert peer.link.stops == {stream: NO_ERROR}
    with pytest.raises(Disconnected):
        peer.record.over[0].pull()
    peer.data(stream, b"x" * 1000)
    assert peer.link.credit[stream] == len(headers(POST)) + 1003, "the connection's window"


def test_what_an_application_does_wrong():
    def app(exchange):
        exchange.start(200, [(b"content-length", b"3")])
        with pytest.raises(FlowError):
            exchange.start(200, [])
        exchange.send(b"ab")
        with pytest.raises(InvalidResponse):
            exchange.send(b"cd", last=True)
        yield from ()

    peer = H3Peer(app)
    assert peer.answers[peer.ask()].reset == INTERNAL_ERROR
    assert len(peer.record.over) == 1


def test_a_fault_before_the_head_is_out_is_a_500():
    def app(exchange):
        exchange.start(200, [(b"content-length", b"3")])
        exchange.send(b"abcd", last=True)
        yield from ()

    peer = H3Peer(app)
    assert peer.answers[peer.ask()].status == 500


def test_an_answer_that_is_cut():
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x" * 1000)
        exchange.abort()
        yield from ()

    peer = H3Peer(app)
    peer.link.rooms[0] = 500
    peer.ask()
    assert peer.answers[0].reset == INTERNAL_ERROR
    [exchange] = peer.record.over
    assert (exchange.state, exchange.sent_bytes) == (states.ABORTED, 0)


def answering(*answers):
    """An application that answers with one after the other: status and fields."""
    turns = iter(answers)

    def app(exchange):
        exchange.start(*next(turns))
        exchange.send(b"hello", last=True)
        yield from ()

    return app


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ((200, [(b"X", b"y")]), 200),
        ((201, [(b"X", b"y")]), 201),
        ((200.0, [(b"X", b"y")]), 500),
        ((200, [(bytearray(b"X"), b"y")]), 500),
        ((200, [(b"X", memoryview(b"y"))]), 500),
        ((200, [(b"X", b"y\n")]), 500),
        ((200, ((b"X", b"y"),)), 200),
        ((200, {b"X": b"y"}.items()), 200),
        ((200, [[b"X", b"y"]]), 200),
        ((200, [(b"X", b"y"), (b"content-length", b"4")]), 500),
        ((200, [(b"X", b"y"), (b"server", b"")]), 200),
    ],
)
def test_an_answer_that_is_almost_the_last_one_again(changed, status):
    """What was remembered of the last one is no judgement of anything else."""
    alone = H3Peer(answering(changed))
    alone.ask()
    peer = H3Peer(answering((200, [(b"X", b"y")]), changed, (200, [(b"X", b"y")])))
    for _ in range(3):
        peer.ask()
    first, second, third = (peer.answers[stream] for stream in (0, 4, 8))
    assert second.status == alone.answers[0].status == status
    assert {**second.fields, b"date": b""} == {**alone.answers[0].fields, b"date": b""}
    assert first.fields[b"x"] == third.fields[b"x"] == b"y"
    assert (first.body, third.body) == (b"hello", b"hello")


def test_fields_that_change_by_and_by():
    fields = [[b"x", b"1"]]

    def app(exchange):
        exchange.start(200, fields)
        exchange.send(b"%d" % len(fields), last=True)
        fields[0][1] += b"1"
        yield from ()

    peer = H3Peer(app)
    assert [peer.answers[peer.ask()].fields[b"x"] for _ in range(3)] == [b"1", b"11", b"111"]


def test_lengths_of_answers_that_repeat():
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x" * len(exchange.head.raw_path), last=True)
        yield from ()

    peer = H3Peer(app)
    for path in ("/", "/", "/12", "/"):
        answer = peer.answers[peer.ask([*GET[:3], (":path", path)])]
        assert answer.fields[b"content-length"] == b"%d" % len(path)


# --- both directions have their own pace ----------------------------------------------------------


def test_credit_is_given_for_what_was_pulled():
    exchanges = []

    def app(exchange):
        exchanges.append(exchange)
        yield forever

    peer = H3Peer(app)
    stream = peer.ask(POST, end=False)
    before = peer.link.credit[stream]
    peer.data(stream, b"x" * 100).data(stream, b"y" * 50)
    assert peer.link.credit[stream] == before + 3 + 2, "the heads of the frames"
    assert exchanges[0].pull() == b"x" * 100
    assert peer.link.credit[stream] == before + 105
    peer.reset(stream)
    assert peer.link.credit[stream] == before + 155, "nobody holds it any more"


def test_answers_wait_for_room():
    rooms = []

    def app(exchange):
        exchange.start(200, [])
        for _ in range(4):
            rooms.append(exchange.send(b"x" * 1000))
            if not rooms[-1]:
                yield exchange.when_room
        exchange.finish()

    peer = H3Peer(app, http3=http3(send_buffer_bytes=1500))
    peer.link.rooms[0] = 0
    peer.ask()
    assert rooms == [True, False]
    peer.room(0, 1000)
    assert rooms == [True, False], "more than half of it is still there"
    peer.room(0, 600)
    assert rooms == [True, False, True, False]
    peer.room(0, 100_000)
    assert (peer.answers[0].body, peer.answers[0].ended) == (b"x" * 4000, True)


def test_the_urgent_go_first():
    woken = []

    def app(exchange):
        exchange.start(200, [])
        assert not exchange.send(b"x" * 2000)
        yield exchange.when_room
        woken.append(exchange.head.raw_path)
        exchange.finish()

    peer = H3Peer(app, http3=http3(send_buffer_bytes=1000))
    peer.control(frame(0xF0700, b"\x08u=0"))
    for stream, path in ((0, "/a"), (4, "/b"), (8, "/c")):
        peer.link.rooms[stream] = 0
        field = [("priority", "u=5")] if path == "/a" else [("priority", "u=4")]
        peer.say(stream, headers([*GET[:3], (":path", path), *field]), end=True)
    peer.control(frame(0xF0700, b"\x04u=1"))
    peer.link.rooms.clear()
    peer.listen()
    assert woken == [b"/c", b"/b", b"/a"]


def test_a_large_part_is_not_copied_to_what_is_before_it():
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x" * 100_000, last=True)
        yield from ()

    peer = H3Peer(app)
    before = len(peer.link.sends)
    assert peer.answers[peer.ask()].body == b"x" * 100_000
    assert len(peer.link.sends) == before + 2


def large(exchange):
    exchange.start(200, [])
    exchange.send(b"x" * 500_000, last=True)
    yield from ()


def ask_for_large(peer, *priorities):
    """Large answers, none of which can leave before all were asked for; in which order they do."""
    for stream, priority in zip(range(0, 1000, 4), priorities, strict=False):
        peer.endpoint.feed_stream(stream, headers([*GET, ("priority", priority)]), True)
    before = len(peer.link.sends)
    peer.listen()
    assert {len(answer.body) for stream, answer in peer.answers.items() if stream % 4 == 0} == {
        500_000
    }
    return peer.link.sends[before:]


@pytest.mark.parametrize(
    ("priorities", "order"),
    [
        (["u=5", "u=1", "u=3"], [4, 8, 0]),
        (["", "", ""], [0, 4, 8]),
        (["u=1, i", "u=0, i"], [4, 0]),
    ],
)
def test_large_answers_one_after_the_other(priorities, order):
    sends = ask_for_large(H3Peer(large, http3=http3(send_buffer_bytes=1)), *priorities)
    assert list(dict.fromkeys(sends)) == order
    assert sends == sorted(sends, key=order.index)


def test_large_answers_that_share():
    sends = ask_for_large(H3Peer(large), "u=1, i", "u=1, i", "u=1, i")
    assert sends[:6] == [0, 4, 8, 0, 4, 8]


def test_a_large_answer_is_not_copied_at_once():
    peer = H3Peer(large)
    peer.endpoint.feed_stream(0, headers(GET), True)
    assert peer.link.unsent_bytes(0) <= 128 * 1024
    peer.endpoint.feed_room()
    assert peer.link.unsent_bytes(0) <= 128 * 1024
    assert len(peer.listen().answers[0].body) == 500_000


def test_who_waits_for_a_turn_is_not_held_up_by_the_peer():
    peer = H3Peer(large, write_timeout_s=5.0)
    peer.link.rooms.update({0: 0, 4: 10**9})
    for stream, priority in ((0, "u=1"), (4, "u=2")):
        peer.say(stream, headers([*GET, ("priority", priority)]), end=True)
    assert peer.answers[4].ended, "the one before it waits for the peer"
    for _ in range(50):
        peer.wait(4).room(0, 11_000)
    assert (peer.answers[0].ended, peer.answers[0].reset) == (True, None)


def test_the_end_of_parts_that_wait():
    """An end, trailers and parts keep their order, whatever was queued before them."""

    def app(exchange):
        exchange.start(200, [])
        for part in (b"a" * 131_000, b"b" * 10, b"c" * 140_000, b"d"):
            exchange.send(part)
        exchange.finish([(b"t", b"u")])
        yield from ()

    for fields in ([("te", "trailers")], []):
        peer = H3Peer(app)
        peer.link.rooms[0] = 0
        peer.ask(GET, *fields)
        peer.room(0, 1).room(0, 70_000).room(0, 10**9)
        answer = peer.answers[0]
        assert answer.body == b"a" * 131_000 + b"b" * 10 + b"c" * 140_000 + b"d"
        assert answer.trailers == ([(b"t", b"u")] if fields else [])
        assert answer.ended


# --- streams that are cut -------------------------------------------------------------------------


def test_a_request_that_is_reset():
    peer = H3Peer(never)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"x").reset(stream)
    [exchange] = peer.record.over
    assert exchange.gone
    assert peer.answers[stream].reset == REQUEST_CANCELLED
    with pytest.raises(Disconnected):
        exchange.start(200, [])
    peer.stop(stream)
    assert len(peer.record.over) == 1


def test_an_answer_that_nobody_wants():
    peer = H3Peer(never)
    stream = peer.ask(POST, end=False)
    peer.stop(stream)
    [exchange] = peer.record.over
    assert exchange.gone
    assert peer.link.stops == {stream: REQUEST_CANCELLED}
    stream = peer.ask()
    peer.stop(stream)
    assert list(peer.link.stops) == [0], "this one has ended"


def test_a_request_that_is_reset_behind_its_answer():
    """As clients do that learn early of a refusal: what was said to them is not taken back."""

    def app(exchange):
        exchange.start(413, [])
        exchange.send(b"too much", last=True)
        yield from ()

    peer = H3Peer(app)
    peer.link.rooms[0] = 3
    peer.ask(POST, end=False)
    peer.reset(0)
    assert peer.record.over == []
    peer.room(0, 1000)
    answer = peer.answers[0]
    assert (answer.body, answer.ended, answer.reset) == (b"too much", True, None)
    assert peer.record.over == peer.record.begun


@pytest.mark.parametrize("how", ["reset", "stop"])
def test_the_end_of_a_stream_of_which_nothing_has_come(how):
    peer = H3Peer(answer_ok)
    getattr(peer, how)(0)
    assert peer.answers[0].reset == REQUEST_CANCELLED
    assert peer.answers[4].reset is None
    peer.say(0, headers(GET), end=True)
    assert peer.record.begun == []


def test_the_connection_is_lost():
    peer = H3Peer(never)
    peer.ask()
    peer.ask(POST, end=False)
    peer.lost()
    assert len(peer.record.over) == 2
    assert all(exchange.gone for exchange in peer.record.over)


def test_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 50_000)
    done = []

    def app(exchange):
        exchange.start(200, [])
        with path.open("rb") as file:
            exchange.send_file(file.fileno(), 3, 400_000, done.append)
        yield from ()

    peer = H3Peer(app)
    assert peer.answers[peer.ask()].body == path.read_bytes()[3:400_003]
    assert done == [True]
    peer.ask(HEAD)
    assert done == [True, True]
