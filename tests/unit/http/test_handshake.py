"""The opening handshake of a WebSocket (RFC 6455 4.2, RFC 7692 5, 7.1, RFC 8441 5)."""

from __future__ import annotations

import pytest

from granian_d.errors import InvalidResponse, ProtocolViolation, UpgradeRequired
from granian_d.http.handshake import (
    Extension,
    Offer,
    accept_key,
    agree_on_deflate,
    judge_handshake,
    response_fields,
)
from granian_d.http.message import RequestHead

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"sec-websocket-version", b"13")
EXTENSIONS = b"sec-websocket-extensions"
PROTOCOL = b"sec-websocket-protocol"
DEFLATE = "permessage-deflate"


def head(*fields: tuple[bytes, bytes], method: str = "GET", version: str = "1.1", length=0):
    return RequestHead(
        method, b"/", b"", b"x", version, [(b"host", b"x"), *fields], length, False, "websocket"
    )


def extensions(*lines: bytes) -> tuple[Extension, ...]:
    return judge_handshake(head(KEY, VERSION, *[(EXTENSIONS, line) for line in lines])).extensions


def test_the_key_of_the_rfc():
    assert judge_handshake(head(KEY, VERSION)) == Offer(KEY[1], (), ())
    assert accept_key(KEY[1]) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "request_head",
    [
        head(KEY, VERSION, method="POST"),
        head(KEY, VERSION, method="HEAD"),
        head(KEY, VERSION, version="1.0"),
        head(KEY, VERSION, length=1),
        head(KEY, VERSION, length=None),
        head(VERSION),
        head(KEY, KEY, VERSION),
        head((KEY[0], b""), VERSION),
        head((KEY[0], b"dGhlIHNhbXBsZSBub25jZQ"), VERSION),
        head((KEY[0], b"dGhlIHNhbXBsZSBub25jZQ=="[:-4]), VERSION),
        head((KEY[0], b"dGhlIHNhbXBsZSBub25jZSEh"), VERSION),
        head((KEY[0], b"dGhlIHNhbXBsZSBub25jZ_=="), VERSION),
        head(VERSION, version="2"),
    ],
)
def test_what_is_no_handshake(request_head: RequestHead):
    with pytest.raises(ProtocolViolation) as caught:
        judge_handshake(request_head)
    assert caught.value.http_status == 400
    assert caught.value.section


@pytest.mark.parametrize("versions", [[], [b"8"], [b"13, 8"], [b"13", b"13"], [b"013"], [b""]])
def test_another_version(versions: list[bytes]):
    with pytest.raises(UpgradeRequired) as caught:
        judge_handshake(head(KEY, *[(VERSION[0], version) for version in versions]))
    assert caught.value.http_status == 426
    assert caught.value.answer_fields == (VERSION,)


def test_http2_has_no_key():
    """RFC 8441 5: what the key is for, the CONNECT and its SETTINGS have done."""
    offer = judge_handshake(
        head(VERSION, (PROTOCOL, b"chat"), method="CONNECT", version="2", length=None)
    )
    assert offer == Offer(b"", ("chat",), ())
    assert response_fields(offer, "chat", None, []) == [(PROTOCOL, b"chat")]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([b"chat"], ("chat",)),
        ([b"chat, superchat"], ("chat", "superchat")),
        ([b"a", b"b ,\tc"], ("a", "b", "c")),
        ([b",a,, b,"], ("a", "b")),
        ([b"v1.x!#$%&'*+-^_`|~"], ("v1.x!#$%&'*+-^_`|~",)),
    ],
)
def test_subprotocols(lines: list[bytes], names: tuple[str, ...]):
    assert (
        judge_handshake(head(KEY, VERSION, *[(PROTOCOL, it) for it in lines])).subprotocols == names
    )


@pytest.mark.parametrize(
    "lines", [[b""], [b","], [b"a b"], [b"a/b"], [b'"a"'], [b"a", b"a"], [b"\xff"]]
)
def test_what_are_no_subprotocols(lines: list[bytes]):
    with pytest.raises(ProtocolViolation):
        judge_handshake(head(KEY, VERSION, *[(PROTOCOL, it) for it in lines]))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([b"foo"], [("foo", ())]),
        ([b"foo, bar; baz=2"], [("foo", ()), ("bar", (("baz", "2"),))]),
        ([b"foo;a;b=c\t ;  d"], [("foo", (("a", None), ("b", "c"), ("d", None)))]),
        ([b'foo; a="b"'], [("foo", (("a", "b"),))]),
        ([b'foo; a="\\b\\c"'], [("foo", (("a", "bc"),))]),
        ([b",foo,, bar ,"], [("foo", ()), ("bar", ())]),
        ([b"foo", b"bar; a"], [("foo", ()), ("bar", (("a", None),))]),
    ],
)
def test_extensions(lines: list[bytes], found: list):
    assert [tuple(it) for it in extensions(*lines)] == found


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ,",
        b"a b",
        b"a;",
        b"a;;b",
        b"a; b=",
        b"a; b =c",
        b"a; b= c",
        b"a=b",
        b"a; b=c d",
        b'a; b="',
        b'a; b="c',
        b'a; b="c"d',
        b'a; b="c d"',
        b'a; b="c,d"',
        b'a; b=""',
        b'a; b="c\\"',
        b"a; b=c/d",
        b"a, b c",
        b"a; =b",
        b"\xff",
    ],
)
def test_what_are_no_extensions(line: bytes):
    with pytest.raises(ProtocolViolation):
        extensions(line)


def test_a_quoted_string_ends_with_its_line():
    with pytest.raises(ProtocolViolation):
        extensions(b'a; b="c', b'd"')


def test_a_line_of_blanks_is_judged_in_one_go():
    """Not in time that grows with its square: this would take hours."""
    with pytest.raises(ProtocolViolation):
        extensions(b"a" + b" " * 500_000 + b"!")
    with pytest.raises(ProtocolViolation):
        extensions(b"a" + b";b=c" * 100_000 + b"!/")


@pytest.mark.parametrize(
    ("offer", "value", "facts"),
    [
        (b"", "server_max_window_bits=12", (False, False, 12, 15)),
        (
            b"; client_max_window_bits",
            "server_max_window_bits=12; client_max_window_bits=12",
            (False, False, 12, 12),
        ),
        (
            b"; client_max_window_bits=10; server_max_window_bits=9",
            "server_max_window_bits=9; client_max_window_bits=10",
            (False, False, 9, 10),
        ),
        (
            b"; client_max_window_bits=15; server_max_window_bits=15",
            "server_max_window_bits=12; client_max_window_bits=12",
            (False, False, 12, 12),
        ),
        (b"; client_max_window_bits=8", "server_max_window_bits=12", (False, False, 12, 15)),
        (
            b'; client_no_context_takeover; server_max_window_bits="10"',
            "client_no_context_takeover; server_max_window_bits=10",
            (False, True, 10, 15),
        ),
        (
            b"; server_no_context_takeover",
            "server_no_context_takeover; server_max_window_bits=12",
            (True, False, 12, 15),
        ),
    ],
)
def test_what_is_agreed(offer: bytes, value: str, facts: tuple):
    agreed = agree_on_deflate(extensions(b"permessage-deflate" + offer))
    assert agreed is not None
    assert agreed.value == f"{DEFLATE}; {value}".encode()
    assert agreed[:4] == facts


@pytest.mark.parametrize(
    "offer",
    [
        b"; server_max_window_bits=8",
        b"; server_max_window_bits",
        b"; server_max_window_bits=7",
        b"; server_max_window_bits=16",
        b"; server_max_window_bits=010",
        b"; client_max_window_bits=7",
        b"; client_max_window_bits=16",
        b"; client_max_window_bits=x",
        b"; client_max_window_bits; client_max_window_bits",
        b"; server_no_context_takeover=1",
        b"; client_no_context_takeover=true",
        b"; server_no_context_takeover; server_no_context_takeover",
        b"; something_else",
    ],
)
def test_what_is_declined(offer: bytes):
    line = b"permessage-deflate" + offer
    assert agree_on_deflate(extensions(line)) is None
    second = agree_on_deflate(
        extensions(b"x-webkit-deflate-frame, " + line + b", permessage-deflate")
    )
    assert second is not None, "the first that can be accepted is"
    assert second == agree_on_deflate(extensions(b"permessage-deflate"))


def test_no_offer():
    assert agree_on_deflate(()) is None
    assert agree_on_deflate(extensions(b"permessage-bzip2")) is None


def test_the_applications_fields():
    offer = judge_handshake(head(KEY, VERSION, (PROTOCOL, b"a")))
    given = [(b"X-A", b" b "), (b"Connection", b"close"), (b"upgrade", b"x"), (b"set-cookie", b"c")]
    assert response_fields(offer, None, None, given) == [
        (b"sec-websocket-accept", accept_key(KEY[1])),
        (b"X-A", b"b"),
        (b"set-cookie", b"c"),
    ]
    for wrong in ((EXTENSIONS, b"x"), (b"Sec-WebSocket-Protocol", b"a"), (b"a:", b"b"), ("a", "b")):
        with pytest.raises(InvalidResponse):
            response_fields(offer, None, None, [wrong])
    with pytest.raises(InvalidResponse):
        response_fields(offer, "b", None, [])
