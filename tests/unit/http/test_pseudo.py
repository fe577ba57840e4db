"""Field sections of HTTP/2: which of them are requests, and which requests they are."""

from __future__ import annotations

import pytest

from granian_d.errors import (
    BodyTooLarge,
    ExpectationFailed,
    HeadTooLarge,
    MethodNotImplemented,
    ProtocolViolation,
)
from granian_d.http.message import RequestHead
from granian_d.http.pseudo import (
    HTTP2,
    HTTP3,
    check_trailers,
    judge_again,
    judge_request,
    section_bytes,
)
from tests.unit.plan.specimens import WEBSOCKET, limits

GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/x?y")]
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"a:80")]
EXTENDED = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat"),
    (b":authority", b"a"),
]


def judge(*fields, ended=True, **changes):
    return judge_request(list(fields), ended, limits(**changes))


def get(**pseudo):
    """A GET whose pseudo-fields are changed, or left out with None."""
    changed = {**{name[1:].decode(): value for name, value in GET}, **pseudo}
    return [(b":" + name.encode(), value) for name, value in changed.items() if value is not None]


def test_a_request_in_its_parts():
    head = judge(*GET, (b"accept", b"*/*"), (b"x", b""))
    assert (head.method, head.raw_path, head.query, head.authority) == ("GET", b"/x", b"y", b"a")
    assert (head.version, head.content_length, head.expects_continue) == ("2", 0, False)
    assert head.fields == [(b"accept", b"*/*"), (b"x", b"")]
    assert head.protocol == ""


@pytest.mark.parametrize(
    ("fields", "ended", "length"),
    [([], True, 0), ([], False, None), ([b"5"], False, 5), ([b"0"], True, 0), ([b"0"], False, 0)],
)
def test_how_long_a_body_is(fields, ended, length):
    lengths = [(b"content-length", value) for value in fields]
    assert judge(*GET, *lengths, ended=ended).content_length == length


def test_host_stands_in_for_a_missing_authority():
    head = judge(*get(authority=None), (b"x", b"y"), (b"host", b"h:1"))
    assert head.authority == b"h:1"
    assert head.fields == [(b"x", b"y")]


def test_host_may_repeat_the_authority():
    head = judge(*GET, (b"x", b"y"), (b"host", b"A"))
    assert head.fields == [(b"x", b"y")]


def test_crumbs_of_a_cookie_are_joined():
    fields = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), (b"cookie", b"c")]
    head = judge(*GET, *fields, head_fields=2)
    assert head.fields == [(b"cookie", b"a=1; b=2; c"), (b"x", b"y")]


def test_the_server_as_a_whole():
    assert judge(*get(method=b"OPTIONS", path=b"*")).raw_path == b"*"


def test_one_who_waits_for_100():
    assert judge(*GET, (b"expect", b"100-continue"), ended=False).expects_continue
    assert not judge(*GET, (b"expect", b"100-continue")).expects_continue


def test_a_request_for_a_websocket():
    head = judge(*EXTENDED, (b"sec-websocket-version", b"13"), ended=False, websocket=WEBSOCKET)
    assert (head.method, head.protocol, head.raw_path) == ("CONNECT", "websocket", b"/chat")
    assert head.content_length is None


MALFORMED = {
    "nothing": [],
    "no method": get(method=None),
    "no scheme": get(scheme=None),
    "no path": get(path=None),
    "neither authority nor host": get(authority=None),
    "an empty path": get(path=b""),
    "a path of another form": get(path=b"http://a/"),
    "a path with a fragment": get(path=b"/a#b"),
    "a star for GET": get(path=b"*"),
    "a foreign scheme": get(scheme=b"ftp"),
    "an empty authority": get(authority=b""),
    "userinfo": get(authority=b"u@a"),
    "a method that is no token": get(method=b"G T"),
    "a pseudo-field twice": [*GET, (b":path", b"/")],
    "an unknown pseudo-field": [*GET, (b":x", b"y")],
    "one of responses": [*GET, (b":status", b"200")],
    "a pseudo-field behind a field": [(b"x", b"y"), *GET],
    "upper case": [*GET, (b"X", b"y")],
    "an empty name": [*GET, (b"", b"y")],
    "a colon in a name": [*GET, (b"a:b", b"y")],
    "a line feed": [*GET, (b"x", b"a\nb")],
    "NUL": [*GET, (b"x", b"\0")],
    "white space before": [*GET, (b"x", b" a")],
    "white space behind": [*GET, (b"x", b"a\t")],
    "connection": [*GET, (b"connection", b"close")],
    "proxy-connection": [*GET, (b"proxy-connection", b"x")],
    "keep-alive": [*GET, (b"keep-alive", b"x")],
    "transfer-encoding": [*GET, (b"transfer-encoding", b"chunked")],
    "upgrade": [*GET, (b"upgrade", b"x")],
    "te": [*GET, (b"te", b"trailers, gzip")],
    "two hosts": [*GET, (b"host", b"a"), (b"host", b"a")],
    "another host": [*GET, (b"host", b"b")],
    "two lengths": [*GET, (b"content-length", b"0"), (b"content-length", b"0")],
    "a length that is no number": [*GET, (b"content-length", b"+0")],
    "a length without a body": [*GET, (b"content-length", b"1")],
    "a CONNECT with a path": [*CONNECT, (b":path", b"/")],
    "a CONNECT with a scheme": [*CONNECT, (b":scheme", b"https")],
    "a CONNECT to nobody": CONNECT[:1],
    "a protocol that was not offered": EXTENDED,
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(fields):
    with pytest.raises(ProtocolViolation) as caught:
        judge(*fields)
    assert (caught.value.http_status, caught.value.h2_code) == (400, 1)
    assert caught.value.section.startswith("RFC ")


@pytest.mark.parametrize(
    "fields",
    [
        [*GET, (b":protocol", b"websocket")],
        [pair for pair in EXTENDED if pair[0] != b":authority"],
        [pair for pair in EXTENDED if pair[0] != b":path"],
        [pair for pair in EXTENDED if pair[0] != b":scheme"],
    ],
)
def test_malformed_requests_for_a_websocket(fields):
    with pytest.raises(ProtocolViolation) as caught:
        judge(*fields, ended=False, websocket=WEBSOCKET)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (CONNECT, MethodNotImplemented),
        (get(method=b"X" * 33), MethodNotImplemented),
        ([(b":method", b"CONNECT"), (b":protocol", b"x"), *EXTENDED[2:]], MethodNotImplemented),
        ([*GET, (b"expect", b"x")], ExpectationFailed),
        ([*GET, (b"content-length", b"9" * 19)], BodyTooLarge),
        ([*GET, (b"content-length", b"101")], BodyTooLarge),
        ([*GET, *[(b"x", b"y")] * 6], HeadTooLarge),
        ([*GET, (b"x", b"y" * 400)], HeadTooLarge),
    ],
)
def test_requests_that_are_answered_by_the_engine(fields, kind):
    bounds = {"head_fields": 5, "head_bytes": 300, "body_bytes": 100, "websocket": WEBSOCKET}
    with pytest.raises(kind) as caught:
        judge(*fields, ended=False, **bounds)
    assert type(caught.value) is kind


def test_the_size_of_a_section_is_what_hpack_counts():
    assert section_bytes([(b"ab", b"c"), (b"", b"")]) == 67


def test_trailers():
    check_trailers([(b"x", b"y")])
    for bad in ((b":path", b"/"), (b"X", b"y"), (b"te", b"x"), (b"upgrade", b"h2c")):
        with pytest.raises(ProtocolViolation):
            check_trailers([(b"x", b"y"), bad])


def verdict(judge):
    try:
        head = judge()
    except ProtocolViolation as violation:
        return type(violation), violation.reason, violation.section
    return [getattr(head, name) for name in RequestHead.__slots__]


@pytest.mark.parametrize(
    "path", [b"/", b"/a/b?c", b"*", b"", b"x", b"/\0", b"/ ", b"/" + b"x" * 500]
)
@pytest.mark.parametrize("method", [b"GET", b"OPTIONS"])
def test_another_path_is_judged_as_all_of_it_is(method, path):
    others = [(b"cookie", b"a"), (b"host", b"a"), (b"cookie", b"b"), (b"x", b"y")]
    first = [*get(method=method), *others]
    second = [*get(method=method, path=path), *others]
    terms = limits(head_fields=3, head_bytes=300)
    known = judge_request(first, False, terms, HTTP3)
    again = verdict(lambda: judge_again(second, 3, known, terms, HTTP3))
    assert again == verdict(lambda: judge_request(second, False, terms, HTTP3))
    assert len(known.fields) == 2


@pytest.mark.parametrize(("rules", "version"), [(HTTP2, "2"), (HTTP3, "3")])
def test_both_versions_have_the_same_rules_in_their_own_places(rules, version):
    assert judge_request(GET, True, limits(), rules).version == version
    with pytest.raises(ProtocolViolation) as raised:
        judge_request([*GET, (b"Upper", b"x")], True, limits(), rules)
    assert raised.value.section == {"2": "RFC 9113 8.2.1", "3": "RFC 9114 4.2"}[version]
    with pytest.raises(ProtocolViolation) as raised:
        check_trailers([(b":x", b"y")], rules)
    assert raised.value.section == {"2": "RFC 9113 8.1", "3": "RFC 9114 4.1"}[version]
