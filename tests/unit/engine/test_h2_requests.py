"""Requests on streams, and what becomes of the answers."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived

from granian_d.errors import Disconnected, FlowError, InvalidResponse, ProtocolViolation
from granian_d.http import states
from tests.unit.engine.h2_peer import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    H2_ENGINES,
    HEAD,
    HEADERS,
    INTERNAL_ERROR,
    NO_ERROR,
    PADDED,
    POST,
    PROTOCOL_ERROR,
    frame,
    http2,
    line,
    meet,
)
from tests.wire.harness import FINISHED, OPEN, answer_ok, read_all

pytestmark = pytest.mark.parametrize("engine", H2_ENGINES)


def echo(exchange):
    body = yield from read_all(exchange)
    exchange.start(200, [(b"X-Method", exchange.head.method.encode())])
    exchange.send(body, last=True)


def forever(callback):
    """What is waited for does not come."""


def never(exchange):
    yield forever


def test_a_request_and_its_answer(engine):
    peer = meet(engine, answer_ok)
    stream = peer.ask()
    answer = peer.answers[stream]
    assert (answer.status, answer.body, answer.ended) == (200, b"ok", True)
    assert answer.fields[b"content-length"] == b"2"
    assert answer.fields[b"server"] == b"granian-d"
    assert answer.fields[b"date"].endswith(b"GMT")
    [exchange] = peer.line.record.over
    assert exchange.head.version == "2"
    assert (exchange.status, exchange.sent_bytes, exchange.state) == (200, 2, states.FINISHED)


def test_head_and_body_leave_in_one_write(engine):
    peer = meet(engine, answer_ok)
    before = len(peer.line.wire.writes)
    peer.ask()
    assert len(peer.line.wire.writes) == before + 1


def test_answers_to_one_packet_leave_in_one_write(engine):
    peer = meet(engine, answer_ok)
    before = len(peer.line.wire.writes)
    peer.say(b"".join(peer.headers(stream, GET) for stream in (1, 3, 5)))
    assert [peer.answers[stream].body for stream in (1, 3, 5)] == [b"ok"] * 3
    assert len(peer.line.wire.writes) == before + 1


def test_a_client_of_another_author_understands(engine):
    def app(exchange):
        body = yield from read_all(exchange)
        exchange.inform(103, [(b"Link", b"</x>")])
        exchange.start(201, [(b"X", b"y")])
        exchange.send(body)
        exchange.finish([(b"T", b"u")])

    one = line(engine, app)
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/x"),
        (b":authority", b"a"),
    ]
    client.send_headers(1, [*fields, (b"te", b"trailers")])
    client.send_data(1, b"hello", end_stream=True)
    one.feed(client.data_to_send())
    events = client.receive_data(one.sent)
    [head] = [event for event in events if isinstance(event, ResponseReceived)]
    assert dict(head.headers)[b":status"] == b"201"
    assert b"".join(e.data for e in events if isinstance(e, DataReceived)) == b"hello"
    [trailers] = [event for event in events if isinstance(event, TrailersReceived)]
    assert list(trailers.headers) == [(b"t", b"u")]
    assert isinstance(events[-1], StreamEnded)


def test_a_body_in_parts(engine):
    peer = meet(engine, echo)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"he").data(stream, b"llo").data(stream, b"", end=True)
    assert peer.answers[stream].body == b"hello"


def test_padding_is_taken_off(engine):
    peer = meet(engine, echo)
    block = b"\x03" + peer.section(POST) + b"\0\0\0"
    peer.say(frame(HEADERS, END_HEADERS | PADDED, 1, block))
    peer.say(frame(DATA, PADDED | END_STREAM, 1, b"\x02ab\0\0"))
    assert peer.answers[1].body == b"ab"


def test_a_section_in_pieces(engine):
    peer = meet(engine, echo)
    block = peer.section([*GET, ("x", "y" * 100)])
    peer.say(frame(HEADERS, END_STREAM, 1, block[:3]), frame(CONTINUATION, 0, 1, block[3:50]))
    assert 1 not in peer.answers
    peer.say(frame(CONTINUATION, END_HEADERS, 1, block[50:]))
    assert peer.answers[1].status == 200
    assert peer.line.record.over[0].head.fields == [(b"x", b"y" * 100)]


def test_trailers_of_a_request_are_dropped(engine):
    peer = meet(engine, echo)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"x")
    peer.say(peer.headers(stream, [("t", "u")]))
    assert peer.answers[stream].body == b"x"


@pytest.mark.parametrize(("wanted", "sent"), [(True, [(b"t", b"u")]), (False, [])])
def test_trailers_of_an_answer_are_for_those_who_take_them(engine, wanted, sent):
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x")
        exchange.finish([(b"T", b"u"), (b"content-length", b"1")])
        yield from ()

    peer = meet(engine, app)
    stream = peer.ask(GET, *([("te", "trailers")] if wanted else []))
    answer = peer.answers[stream]
    assert (answer.body, answer.trailers, answer.ended) == (b"x", sent, True)


def test_interim_answers(engine):
    def app(exchange):
        exchange.inform(103, [(b"Link", b"</x>")])
        exchange.inform(102, [])
        yield from answer_ok(exchange)

    peer = meet(engine, app)
    answer = peer.answers[peer.ask()]
    assert (answer.interims, answer.status, answer.body) == ([103, 102], 200, b"ok")


def test_interim_answers_behind_the_start(engine):
    """They leave before the head, which is held back; behind it there are none."""

    def app(exchange):
        exchange.start(200, [])
        exchange.inform(103, [(b"Link", b"</x>")])
        exchange.send(b"o")
        exchange.inform(103, [(b"Link", b"</y>")])
        exchange.send(b"k", last=True)
        yield from ()

    peer = meet(engine, app)
    answer = peer.answers[peer.ask()]
    assert (answer.interims, answer.status, answer.body) == ([103], 200, b"ok")


def test_an_empty_server_is_none(engine):
    def app(exchange):
        exchange.start(200, [(b"server", b""), (b"x", b"1")])
        exchange.send(b"ok", last=True)
        yield from ()

    peer = meet(engine, app)
    fields = dict(peer.answers[peer.ask()].fields)
    assert fields[b"x"] == b"1"
    assert b"server" not in fields


def test_a_client_that_waits_is_told_to_go_on(engine):
    peer = meet(engine, echo)
    stream = peer.ask(POST, ("expect", "100-continue"), end=False)
    assert peer.answers[stream].interims == [100]
    peer.data(stream, b"x", end=True)
    assert peer.answers[stream].interims == [100]
    assert peer.answers[stream].body == b"x"


def test_a_client_that_waits_is_not_told_when_its_body_is_not_wanted(engine):
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"no", last=True)
        yield from ()

    peer = meet(engine, app)
    stream = peer.ask(POST, ("expect", "100-continue"), end=False)
    answer = peer.answers[stream]
    assert (answer.interims, answer.status, answer.reset) == ([], 200, NO_ERROR)


@pytest.mark.parametrize(
    ("request_fields", "status", "length"),
    [(HEAD, 200, b"5"), (GET, 204, None), (GET, 304, b"5")],
)
def test_answers_without_content(engine, request_fields, status, length):
    def app(exchange):
        exchange.start(status, [(b"content-length", b"5")])
        exchange.send(b"hello", last=True)
        yield from ()

    peer = meet(engine, app)
    answer = peer.answers[peer.ask(request_fields)]
    assert (answer.status, answer.kinds, answer.ended) == (status, [HEADERS], True)
    assert answer.fields.get(b"content-length") == length


def test_an_answer_without_a_body_ends_with_its_head(engine):
    def app(exchange):
        exchange.start(200, [])
        exchange.finish()
        yield from ()

    peer = meet(engine, app)
    answer = peer.answers[peer.ask()]
    assert (answer.kinds, answer.ended) == ([HEADERS], True)
    assert answer.fields[b"content-length"] == b"0"


def test_fields_about_the_connection_do_not_leave(engine):
    def app(exchange):
        exchange.start(
            200,
            [
                (b"Connection", b"close"),
                (b"Keep-Alive", b"x"),
                (b"Transfer-Encoding", b"chunked"),
                (b"Upgrade", b"h2c"),
                (b"X-A", b"b"),
                (b"Date", b"d"),
                (b"Server", b"s"),
            ],
        )
        exchange.send(b"x", last=True)
        yield from ()

    peer = meet(engine, app)
    fields = peer.answers[peer.ask()].fields
    assert fields == {b"x-a": b"b", b"date": b"d", b"server": b"s", b"content-length": b"1"}


def test_streams_are_answered_side_by_side(engine):
    held = []

    def app(exchange):
        if exchange.head.raw_path == b"/slow":
            held.append(exchange)
            yield exchange.when_gone
        yield from answer_ok(exchange)

    peer = meet(engine, app)
    slow = peer.ask([*GET[:3], (":path", "/slow")])
    fast = peer.ask()
    assert peer.answers[fast].body == b"ok"
    assert slow not in peer.answers
    held[0].start(200, [])
    held[0].send(b"late", last=True)
    assert peer.listen().answers[slow].body == b"late"


# --- faults of the application -------------------------------------------------------------------


def test_an_invalid_head_becomes_500(engine):
    def app(exchange):
        exchange.start(200, [(b"x", b"a\nb")])
        yield from ()

    peer = meet(engine, app)
    answer = peer.answers[peer.ask()]
    assert (answer.status, answer.body, answer.ended) == (500, b"Internal Server Error", True)
    assert isinstance(peer.line.record.faults[0], InvalidResponse)


def test_a_fault_behind_the_head_resets(engine):
    def app(exchange):
        exchange.start(200, [(b"content-length", b"5")])
        exchange.send(b"he")
        exchange.send(b"llo and more")
        yield from ()

    peer = meet(engine, app)
    answer = peer.answers[peer.ask()]
    assert (answer.reset, answer.ended) == (INTERNAL_ERROR, False)
    assert peer.line.fate == OPEN
    assert peer.answers[peer.ask()].reset == INTERNAL_ERROR
    assert [exchange.state for exchange in peer.line.record.over] == [states.ABORTED] * 2


def test_an_exchange_that_is_aborted_before_its_answer(engine):
    def app(exchange):
        exchange.abort()
        exchange.abort()
        yield from ()

    peer = meet(engine, app)
    answer = peer.answers[peer.ask()]
    assert (answer.status, answer.reset) == (0, INTERNAL_ERROR)
    assert len(peer.line.record.over) == 1


def test_moves_that_are_not_allowed(engine):
    seen = []

    def app(exchange):
        with pytest.raises(FlowError):
            exchange.send(b"x")
        with pytest.raises(FlowError):
            exchange.tunnel([], lambda wire: None)
        exchange.start(200, [])
        with pytest.raises(FlowError):
            exchange.start(200, [])
        exchange.send(b"x", last=True)
        with pytest.raises(FlowError):
            exchange.send(b"x")
        seen.append(True)
        yield from ()

    peer = meet(engine, app)
    peer.ask()
    assert seen == [True]


# --- faults of the peer --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        GET[1:],
        [*GET, (":path", "/")],
        [*GET, ("Upper", "x")],
        [*GET, ("connection", "close")],
        [*GET, ("te", "gzip")],
        [*GET, ("content-length", "1")],
    ],
)
def test_a_malformed_request_is_reset(engine, fields):
    peer = meet(engine, answer_ok)
    stream = peer.ask(fields)
    assert peer.answers[stream].reset == PROTOCOL_ERROR
    assert peer.answers[peer.ask()].body == b"ok"
    [violation] = peer.line.record.refusals
    assert violation.http_status == 400
    assert len(peer.line.record.begun) == 1


@pytest.mark.parametrize(
    ("fields", "limits", "status"),
    [
        ([*GET, ("x", "y" * 300)], {"head_bytes": 200}, 431),
        ([*GET, *[("x", "y")] * 5], {"head_fields": 4}, 431),
        ([*GET, ("x", "y" * 2000)], {"http2": http2(fields_bytes=1000)}, 431),
        ([*POST, ("content-length", "11")], {"body_bytes": 10}, 413),
        ([(":method", "CONNECT"), (":authority", "a:1")], {}, 501),
        ([*GET, ("expect", "x")], {}, 417),
    ],
)
def test_requests_that_the_engine_answers(engine, fields, limits, status):
    peer = meet(engine, answer_ok, **limits)
    stream = peer.ask(fields, end=False)
    answer = peer.answers[stream]
    assert (answer.status, answer.ended, answer.reset) == (status, True, NO_ERROR)
    assert answer.body.startswith(str(status).encode())
    assert answer.fields[b"content-length"] == str(len(answer.body)).encode()
    assert [violation.http_status for violation in peer.line.record.refusals] == [status]
    peer.data(stream, b"what was under way")
    assert peer.answers[peer.ask()].body == b"ok", "the compression is in step"
    assert peer.line.fate == OPEN


def test_an_answer_of_the_engine_to_head(engine):
    peer = meet(engine, answer_ok, head_fields=1)
    answer = peer.answers[peer.ask([*HEAD, ("a", "b"), ("c", "d")])]
    assert (answer.status, answer.body, answer.ended) == (431, b"", True)


@pytest.mark.parametrize(
    ("length", "parts"), [("5", [b"123456"]), ("5", [b"1234"]), ("5", [b"12", b"3456"])]
)
def test_a_body_that_is_not_as_long_as_was_said(engine, length, parts):
    faults = []

    def app(exchange):
        try:
            yield from read_all(exchange)
        except (ProtocolViolation, Disconnected) as error:
            faults.append(error)
            raise

    peer = meet(engine, app)
    stream = peer.ask(POST, ("content-length", length), end=False)
    for part in parts:
        peer.data(stream, part, end=part is parts[-1])
    assert peer.answers[stream].reset == PROTOCOL_ERROR
    assert len(faults) == 1
    assert len(peer.line.record.over) == len(peer.line.record.refusals) == 1


def test_a_body_that_ends_with_trailers_too_soon(engine):
    peer = meet(engine, echo)
    stream = peer.ask(POST, ("content-length", "5"), end=False)
    peer.data(stream, b"1234")
    peer.say(peer.headers(stream, [("t", "u")]))
    assert peer.answers[stream].reset == PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("fields", "end"), [([("t", "u")], False), ([(":path", "/")], True), ([("T", "u")], True)]
)
def test_bad_trailers(engine, fields, end):
    peer = meet(engine, echo)
    stream = peer.ask(POST, end=False)
    peer.say(peer.headers(stream, fields, end=end))
    assert peer.answers[stream].reset == PROTOCOL_ERROR
    assert peer.line.fate == OPEN


def test_a_body_beyond_the_limit(engine):
    peer = meet(engine, echo, body_bytes=10)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"12345678").data(stream, b"9012")
    answer = peer.answers[stream]
    assert (answer.status, answer.ended, answer.reset) == (413, True, NO_ERROR)
    [exchange] = peer.line.record.over
    assert (exchange.status, exchange.state) == (413, states.ABORTED)
    assert peer.answers[peer.ask()].status == 200


def test_a_body_beyond_the_limit_behind_a_started_answer(engine):
    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"x")
        with pytest.raises(ProtocolViolation):
            yield from read_all(exchange)
        exchange.finish()

    peer = meet(engine, app, body_bytes=10)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"12345678901")
    answer = peer.answers[stream]
    assert (answer.status, answer.body, answer.ended) == (200, b"x", True)


# --- resets --------------------------------------------------------------------------------------


def test_a_stream_that_the_peer_resets(engine):
    seen = []

    def app(exchange):
        exchange.when_gone(lambda: seen.append("gone"))
        try:
            yield from read_all(exchange)
        except Disconnected:
            seen.append("disconnected")
            raise

    peer = meet(engine, app)
    stream = peer.ask(POST, end=False)
    peer.data(stream, b"x").reset(stream)
    assert seen == ["gone", "disconnected"]
    [exchange] = peer.line.record.over
    assert exchange.state == states.ABORTED
    assert exchange.gone
    with pytest.raises(Disconnected):
        exchange.start(200, [])
    assert peer.line.fate == OPEN
    assert stream not in peer.answers


def test_an_answer_before_the_body_is_complete(engine):
    seen = []

    def app(exchange):
        exchange.start(200, [])
        exchange.send(b"enough", last=True)
        seen.append(exchange)
        yield from ()

    peer = meet(engine, app)
    stream = peer.ask(POST, end=False)
    answer = peer.answers[stream]
    assert (answer.body, answer.ended, answer.reset) == (b"enough", True, NO_ERROR)
    with pytest.raises(Disconnected):
        seen[0].pull()
    window = peer.credit.get(0, 0)
    for _ in range(40):
        peer.data(stream, b"x" * 16384)
    assert peer.credit[0] > window, "what is dropped is credited to the connection"
    assert peer.line.fate == OPEN


def test_the_connection_is_lost(engine):
    peer = meet(engine, never)
    peer.ask()
    peer.ask(POST, end=False)
    peer.line.lost()
    assert len(peer.line.record.over) == 2
    assert all(exchange.gone for exchange in peer.line.record.over)
    assert peer.line.endpoint.deadline == float("inf")


def test_the_peer_closes_its_side_within_a_body(engine):
    faults = []

    def app(exchange):
        try:
            body = yield from read_all(exchange)
        except Disconnected as error:
            faults.append(error)
            exchange.abort()
            return
        exchange.start(200, [])
        exchange.send(body, last=True)

    peer = meet(engine, app)
    one, two = peer.ask(POST, end=False), peer.ask(POST, end=False)
    peer.data(one, b"x", end=True)
    assert peer.answers[one].body == b"x"
    assert peer.line.fate == OPEN
    seen = len(peer.line.record.over)
    peer.line.eof()
    assert len(peer.line.record.over) == seen + 1
    assert len(faults) == 1
    assert peer.listen().answers[two].reset == INTERNAL_ERROR
    assert peer.line.fate == FINISHED


def test_answers_go_on_when_the_peer_closes_its_side(engine):
    held = []

    def app(exchange):
        held.append(exchange)
        yield forever

    peer = meet(engine, app)
    stream = peer.ask()
    peer.line.eof()
    assert peer.line.fate == OPEN
    held[0].start(200, [])
    held[0].send(b"still", last=True)
    assert peer.listen().answers[stream].body == b"still"
    assert peer.line.fate == FINISHED


def test_cancelling_after_the_answer_is_no_fault(engine):
    peer = meet(engine, answer_ok)
    stream = peer.ask()
    peer.reset(stream, CANCEL)
    assert peer.answers[peer.ask()].body == b"ok"
