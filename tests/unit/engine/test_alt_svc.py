"""Alt-Svc (RFC 7838): what all four engines add to an application's answers, if they are told to."""

from __future__ import annotations

import pytest

from tests.unit.engine.h2_peer import H2_ENGINES, meet
from tests.wire.harness import ENGINES, Line, answer_ok

VALUE = 'h3=":8443"; ma=3600'
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def on_http1(engine, app, request=GET, **limits):
    """The lines of the head of the answer."""
    line = Line(ENGINES[engine], app, **limits).feed(request)
    return line.wire.sent.partition(b"\r\n\r\n")[0].split(b"\r\n")


def on_http2(engine, app, **limits):
    """Those that the head would be on HTTP/1."""
    peer = meet(engine, app, **limits)
    return [b"%b: %b" % field for field in peer.answers[peer.ask()].fields.items()]


WIRES = [
    *((name, on_http1) for name in ENGINES),
    *((name, on_http2) for name in H2_ENGINES),
]
pytestmark = pytest.mark.parametrize(("engine", "head"), WIRES)


def advertised(lines):
    return [line for line in lines if line.lower().startswith(b"alt-svc:")]


def test_answers_say_where_else_the_origin_is(engine, head):
    lines = head(engine, answer_ok, alt_svc=VALUE)
    assert advertised(lines) == [b"alt-svc: " + VALUE.encode()]
    assert set(head(engine, answer_ok)) == set(lines) - set(advertised(lines))


def test_the_application_has_the_last_word(engine, head):
    def app(exchange):
        exchange.start(200, [(b"Alt-Svc", b"clear"), (b"x-more", b"1")])
        exchange.send(b"ok", True)
        yield from ()

    assert [line.lower() for line in advertised(head(engine, app, alt_svc=VALUE))] == [
        b"alt-svc: clear"
    ]


def test_a_head_that_is_judged_at_length_has_it_too(engine, head):
    def app(exchange):
        exchange.start(200, [(b"connection", b"close"), (b"x-long", b"x" * 2000)])
        exchange.send(b"ok", True)
        yield from ()

    assert len(advertised(head(engine, app, alt_svc=VALUE))) == 1


def test_an_answer_in_place_of_a_failed_one_has_it_once(engine, head):
    def app(exchange):
        exchange.start(200, [])
        exchange.fail()
        yield from ()

    lines = head(engine, app, alt_svc=VALUE)
    assert len(advertised(lines)) == 1
