"""What a plain connection begins with, as its first octets come in."""

from __future__ import annotations

from functools import partial

import pytest

from granian_d.engine.contract import Leave
from granian_d.engine.negotiate import PREFACE, Greeting, plain, secured
from tests.wire.harness import ENGINES, FINISHED, LIMITS, OPEN, Line, answer_ok, request

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # an empty SETTINGS frame (RFC 9113 6.5)


@pytest.fixture(params=ENGINES)
def line(request):
    return Line(plain(request.param, "auto"), answer_ok)


def speaks_h2(line: Line) -> bool:
    """The server's preface is a SETTINGS frame."""
    return line.sent[3:4] == b"\x04"


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_request_begins_http_1(line, size):
    octets = request()
    line.feed(*(octets[at : at + size] for at in range(0, len(octets), size)))
    assert line.sent.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [1, 2, 5, 23, 24, 1000])
def test_the_preface_begins_http_2(line, size):
    octets = PREFACE + SETTINGS
    line.feed(*(octets[at : at + size] for at in range(0, len(octets), size)))
    assert speaks_h2(line)
    assert line.fate == OPEN


@pytest.mark.parametrize("octets", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", b"PRI * HTTP/1.1\r\n\r\n"])
def test_what_is_only_like_the_preface_is_http_1(line, octets):
    line.feed(octets)
    assert line.sent.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
    assert line.fate == FINISHED


@pytest.mark.parametrize(
    "octets", [b"INVALID CONNECTION PREFACE\r\n\r\n", b"HELO there\r\n", b"?\n"]
)
def test_what_is_neither_is_not_answered(line, octets):
    line.feed(octets)
    assert (line.sent, line.fate) == (b"", FINISHED)
    assert len(line.record.refusals) == 1


@pytest.mark.parametrize(
    "octets", [b"GET /\r\n\r\n", b"GET / HTP/1.1\r\n\r\n", b"x HTTP/1.1\r\n\r\n"]
)
def test_what_means_to_be_a_request_is_answered(line, octets):
    line.feed(octets)
    assert line.sent.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))


def test_an_end_in_the_middle(line):
    line.feed(PREFACE[:10]).eof()
    assert line.sent.startswith(b"HTTP/1.1 400 ")


def test_an_end_at_once(line):
    line.eof()
    assert (line.sent, line.fate) == (b"", FINISHED)


def test_who_says_nothing_is_let_go(line):
    line.wait(LIMITS["head_timeout_s"] - 1)
    assert line.fate == OPEN
    line.wait(2)
    assert (line.sent, line.fate) == (b"", FINISHED)


def test_a_drain_shortens_the_wait_and_is_passed_on(line):
    line.endpoint.drain(Leave(5))
    line.wait(4).feed(request())
    assert b"connection: close" in line.sent
    assert line.fate == FINISHED


def test_a_drained_connection_that_says_nothing_is_let_go(line):
    line.endpoint.drain(Leave(2))
    line.wait(3)
    assert (line.sent, line.fate) == (b"", FINISHED)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_version_only(engine):
    assert Line(plain(engine, "1"), answer_ok).feed(PREFACE).sent.startswith(b"HTTP/1.1 ")
    assert speaks_h2(Line(plain(engine, "2"), answer_ok).feed(PREFACE + SETTINGS))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("http", "protocol", "h2"),
    [
        ("auto", "h2", True),
        ("auto", "http/1.1", False),
        ("auto", None, False),
        ("1", "http/1.1", False),
        ("1", None, False),
        ("2", "h2", True),
        ("2", None, True),
    ],
)
def test_what_alpn_came_to(engine, http, protocol, h2):
    line = Line(secured(engine, http)(protocol), answer_ok, scheme="https")
    line.feed(PREFACE + SETTINGS if h2 else request())
    assert speaks_h2(line) == h2
    assert h2 or line.sent.startswith(b"HTTP/1.1 200 ")


def test_a_greeting_is_an_endpoint():
    line = Line(partial(Greeting, "pure"), answer_ok)
    assert isinstance(line.endpoint, Greeting)
    line.lost()
    assert line.endpoint.deadline == float("inf")
