"""A connection's next request often repeats the header section of its last one: what is then kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.engine.contract import Clock
from granian_d.http.message import Peer
from granian_d.plan import Limits
from tests.wire.harness import ENGINES, LIMITS, OPEN, FakeWire, Record

from .test_heads import facts, reference

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange

LINES = (b"GET / HTTP/1.1", b"HEAD /a?b HTTP/1.1", b"POST /%20 HTTP/1.1", b"PURGE /c HTTP/1.0")
FIELDS = (
    *(b"Host: a.example", b"Host: b.example:80", b"host: a.example", b"Accept: */*"),
    *(b"Content-Length: 3", b"Content-Length: 0", b"Connection: keep-alive", b"X: " + b"x" * 3000),
)


class Answers:
    """Notes each head, and answers."""

    def __init__(self) -> None:
        self.observer = Record()
        self.heads: list[Any] = []

    def serve(self, exchange: Exchange) -> None:
        self.heads.append(facts(exchange.head))
        exchange.start(200, ())
        exchange.send(b"", last=True)


def connection(engine: str) -> tuple[Answers, FakeWire, Any]:
    service = Answers()
    peer = Peer(("192.0.2.7", 50123), ("192.0.2.1", 8000))
    wire = FakeWire()
    endpoint = ENGINES[engine](wire, peer, service, Limits(**LIMITS), Clock(0.0))
    return service, wire, endpoint


def head(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((line, *fields, b"", b""))


sections = st.lists(st.sampled_from(FIELDS), max_size=3).map(tuple)
histories = st.lists(st.tuples(st.sampled_from(LINES), sections), min_size=2, max_size=6)


@pytest.mark.parametrize("engine", ENGINES)
@given(histories)
def test_each_head_is_read_as_if_it_were_the_first(engine: str, history: list[Any]) -> None:
    service, wire, endpoint = connection(engine)
    for line, fields in (entry for entry in history for _ in range(2)):
        stream = head(line, *fields)
        verdict = reference(stream, LIMITS)
        endpoint.feed_data(stream + b"abc" * (b"Content-Length: 3" in fields))
        if isinstance(verdict[0], type):  # a violation, which closes
            assert len(service.observer.refusals) == 1
            break
        assert service.heads[-1] == verdict
        if wire.fate != OPEN:
            break


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "second",
    [
        (b"Host: a.example", b"Cookie: 1"),
        (b"Host: a.example", b"Cookie: 12"),
        (b"Host: a.example",),
        (b"Host: a.example", b"Cookie: 2"),
        (b"Host: a.example", b"Cookie: 1", b"Expect: 100-continue"),
    ],
)
def test_a_section_that_is_nearly_the_same(engine: str, second: tuple[bytes, ...]) -> None:
    service, _, endpoint = connection(engine)
    first = head(LINES[0], b"Host: a.example", b"Cookie: 1")
    for stream in (first, head(LINES[1], *second), first):
        endpoint.feed_data(stream)
        assert service.heads[-1] == reference(stream, LIMITS)
    assert len(service.heads) == 3


@pytest.mark.parametrize("engine", ENGINES)
def test_a_section_needs_another_version_too(engine: str) -> None:
    """One that lacks Host is good for 1.0 (RFC 9112 3.2), and not for 1.1 behind it."""
    service, _, endpoint = connection(engine)
    fields = (b"Connection: keep-alive",)
    endpoint.feed_data(head(b"GET / HTTP/1.0", *fields))
    endpoint.feed_data(head(b"GET / HTTP/1.1", *fields))
    assert len(service.heads) == 1
    assert len(service.observer.refusals) == 1
