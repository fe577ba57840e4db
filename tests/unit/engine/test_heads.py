"""Every engine reads a head as `h1_head` and `http.framing` judge it, octet for octet.

`read_head` of the native engine knows the usual heads only and leaves all others to the reference:
what it passes must be good to the reference, too, and mean the same.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from granian_d.engine.pure.h1_head import HeadIntake, judge_head
from granian_d.errors import ProtocolViolation
from granian_d.plan import Limits
from tests.wire.harness import ENGINES, LIMITS, Line, request
from tests.wire.streams import Peer, mutated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import RequestHead

TIGHT = {**LIMITS, "head_bytes": 400, "head_fields": 5, "body_bytes": 70_000}
Verdict = tuple[Any, ...] | None


def never(exchange: Exchange) -> Generator[Any, None, None]:
    """Neither reads nor answers."""
    yield lambda _wake: None


def facts(head: RequestHead) -> Verdict:
    return (
        *(head.method, head.raw_path, head.query, head.authority, head.version, head.fields),
        *(head.content_length, head.expects_continue),
    )


def wrong(violation: ProtocolViolation) -> Verdict:
    return type(violation), str(violation), violation.section


def reference(stream: bytes, limits: dict[str, Any]) -> Verdict:
    """What the reference says of the head at the beginning of a stream; None: more is needed."""
    intake = HeadIntake(limits["head_bytes"])
    intake.append(stream)
    try:
        raw = intake.take()
        return None if raw is None else facts(judge_head(raw, "http", Limits(**limits)))
    except ProtocolViolation as violation:
        return wrong(violation)


def verdict(engine: str, stream: bytes, limits: dict[str, Any]) -> Verdict:
    """What an engine says of it."""
    line = Line(ENGINES[engine], never, **limits).feed(stream)
    if line.record.begun:
        return facts(line.record.begun[0].head)
    return wrong(line.record.refusals[0]) if line.record.refusals else None


def flawed(stream: bytes) -> Iterator[bytes]:
    """A stream with each octet at each place, instead of what is there, before it, and missing."""
    for place in range(len(stream)):
        before, after = stream[:place], stream[place + 1 :]
        yield before + after
        for octet in range(256):
            yield before + bytes([octet]) + after
            yield before + bytes([octet]) + stream[place:]


WITH_LENGTH = (
    b"GET /a%2f?b=c HTTP/1.1\r\nHost: a.b:8080\r\nContent-Length: 5\r\nConnection: x, close\r\n\r\n"
)
WITH_CODING = (
    b"POST / HTTP/1.1\r\nX-y:\t z \r\nTransfer-Encoding: chunked\r\nhost:a\r\nExpec: t\r\n\r\n"
)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("head", [WITH_LENGTH, WITH_CODING])
def test_each_octet_at_each_place(engine: str, head: bytes) -> None:
    for stream in flawed(head):
        assert verdict(engine, stream, LIMITS) == reference(stream, LIMITS), stream


@pytest.mark.parametrize("engine", ENGINES)
@given(dice=st.randoms(use_true_random=False))
def test_mutated_heads(engine: str, dice: Random) -> None:
    stream = mutated(dice, Peer(dice, 5).request())
    limits = dice.choice([LIMITS, TIGHT])
    note(f"{stream!r} {limits}")
    assert verdict(engine, stream, limits) == reference(stream, limits)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_heads_each_time(engine: str) -> None:
    for seed in range(4000):
        dice = Random(seed)
        stream, limits = Peer(dice, seed % 6).request(), TIGHT if seed % 3 == 0 else LIMITS
        for _ in range(seed % 3):
            stream = mutated(dice, stream)
        assert verdict(engine, stream, limits) == reference(stream, limits), (seed, stream)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537])
@pytest.mark.parametrize("piece", [1, 1000, 100_000])
def test_a_head_at_the_limit(engine: str, size: int, piece: int) -> None:
    head = request(fields=["X: "])[:-4]
    head += b"x" * (size - len(head) - 4) + b"\r\n\r\n"
    assert len(head) == size
    line = Line(ENGINES[engine], never, head_bytes=65_536)
    line.feed(*(head[at : at + piece] for at in range(0, size, piece)))
    assert len(line.record.begun) == (size <= 65_536)
    assert [refusal.http_status for refusal in line.record.refusals] == [431] * (size > 65_536)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [99, 100, 101, 5000])
def test_the_number_of_fields_is_limited(engine: str, count: int) -> None:
    line = Line(ENGINES[engine], never, head_bytes=1_000_000, head_fields=100)
    line.feed(request(fields=["a: b"] * (count - 1)))
    assert [len(exchange.head.fields) for exchange in line.record.begun] == [count] * (count <= 100)
    assert [refusal.http_status for refusal in line.record.refusals] == [431] * (count > 100)


# --- what clients really send ---------------------------------------------------------------------

BROWSER = b"""\
GET /assets/app.js?v=3%2E1&theme=dark HTTP/1.1
Host: www.example.org
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
Accept: */*
Accept-Language: en-US,en;q=0.5
Accept-Encoding: gzip, deflate, br, zstd
Referer: https://www.example.org/?q=%C3%A9
Connection: keep-alive
Cookie: session="eyJh.bGci=="; theme=dark
Sec-Fetch-Dest: script
If-None-Match: W/"5e1-abc"

"""
CURL = b"POST /upload HTTP/1.1\nHost: [::1]:8000\nUser-Agent: curl/8.5.0\nAccept: */*\nContent-Length: 5\n\n"
PROXY = b"""\
PATCH /api/v1/items/7 HTTP/1.0
Host: 127.0.0.1:8000
X-Forwarded-For: 203.0.113.7, 198.51.100.2
X-Forwarded-Proto: https
X-Vendor-Trace: 1-67891233-abcdef012345678912345678
Connection: close
Content-Type: application/json
Content-Length: 5

"""
CHUNKED = b"PUT /a HTTP/1.1\nhost: a_b.example:80\ntransfer-encoding: Chunked\ncontent-type: text/plain\n\n"


@pytest.mark.skipif("native" not in ENGINES, reason="the package was built without a C compiler")
@pytest.mark.parametrize(
    ("head", "short"),
    [
        (BROWSER, True),
        (PROXY, True),
        (CHUNKED, True),
        (CURL.replace(b"[::1]", b"a"), True),
        (CURL, False),
    ],
    ids=["browser", "proxy", "chunked", "curl", "an IPv6 address"],
)
def test_usual_heads_take_the_short_way(head: bytes, short: bool) -> None:
    """`read_head` gives each usual name as the one object that it is; the reference makes another."""
    names = [
        {
            name: name
            for name, _ in Line(ENGINES["native"], never).feed(stream).record.begun[0].head.fields
        }
        for stream in (head.replace(b"\n", b"\r\n"), request())
    ]
    assert (names[0][b"host"] is names[1][b"host"]) is short


# --- a window on a buffer ---------------------------------------------------------------------------


class Facts(ctypes.Structure):
    """As in head.pxd."""

    _fields_ = (
        ("size", ctypes.c_ssize_t),
        ("length", ctypes.c_longlong),
        ("persists", ctypes.c_int),
    )


def read_head(
    window: ctypes.Array[ctypes.c_char], size: int, facts: Facts, section: object
) -> RequestHead | None:
    """`read_head` itself, by the pointer that Cython gives to other modules."""
    capsule = import_module("granian_d.engine.native.head").__pyx_capi__["read_head"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    kind = ctypes.PYFUNCTYPE(
        ctypes.py_object,
        *(ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.POINTER(Facts)),
        ctypes.py_object,
    )
    head: RequestHead | None = kind(pointer)(ctypes.addressof(window), size, 100, facts, section)
    return head


@pytest.mark.skipif("native" not in ENGINES, reason="the package was built without a C compiler")
@pytest.mark.parametrize("head", [WITH_LENGTH, WITH_CODING, PROXY.replace(b"\n", b"\r\n")])
def test_nothing_is_read_behind_the_window(head: bytes) -> None:
    """What lies there is what an earlier packet has left, and might fit too well."""
    facts = Facts()
    window = ctypes.create_string_buffer(head)
    section = import_module("granian_d.engine.native.head").Section()
    for _ in range(2):  # the second time the section is one that is remembered
        for size in range(len(head)):
            assert read_head(window, size, facts, section) is None
        assert read_head(window, len(head), facts, section) is not None
        assert facts.size == len(head)
