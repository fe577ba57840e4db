"""Targets, persistence, and what an application may say, against the standard library's tables."""

from __future__ import annotations

import http
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.errors import InvalidResponse, ProtocolViolation
from granian_d.http.semantics import (
    REASONS,
    check_authority,
    has_content,
    imf_fixdate,
    judge_interim,
    judge_response,
    judge_trailers,
    persists,
    split_target,
    takes_trailers,
)


@given(st.integers(min_value=0, max_value=253402300799))
def test_imf_fixdate_is_what_the_standard_library_writes(second: int) -> None:
    assert imf_fixdate(second).decode() == formatdate(second, usegmt=True)


def test_reasons_are_those_of_the_registry() -> None:
    unassigned = {418, 510}  # a joke, obsoleted
    ours = {status: reason.decode() for status, reason in REASONS.items()}
    renamed = {"Request Entity Too Large", "Request-URI Too Long", "Unprocessable Entity"}
    renamed |= {"Requested Range Not Satisfiable"}  # before CPython 3.13
    theirs = {status.value: status.phrase for status in http.HTTPStatus}
    assert set(theirs) - set(ours) == unassigned
    assert set(ours) <= set(theirs)
    assert all(ours[s] == theirs[s] or theirs[s] in renamed for s in ours)


@pytest.mark.parametrize("authority", [b"a", b"a:1", b"[::1]", b"[::1]:80", b"1.2.3.4", b"a-b_c~."])
def test_authorities(authority: bytes) -> None:
    check_authority(authority, "Host")


@pytest.mark.parametrize(
    "authority",
    b"|:|:80|a:b|a:65536|a:-1|a b|a/b|u@a|[|[]|[::1|[::1]x|[g::1]|a,b\xff|a%|a%2|a\n|[v1.x]|a?b|a#b"
    b"|a:1:2".split(b"|"),
)
def test_what_is_no_authority(authority: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        check_authority(authority, "Host")


def test_a_target_in_its_parts() -> None:
    assert split_target(b"GET", b"/a?b?c", "http") == (b"/a", b"b?c", None)
    assert split_target(b"GET", b"http://h:1/a?b", "http") == (b"/a", b"b", b"h:1")
    assert split_target(b"GET", b"HTTPS://h", "https") == (b"/", b"", b"h")
    assert split_target(b"OPTIONS", b"*", "http") == (b"*", b"", None)


def test_every_octet_in_a_path_and_in_a_query() -> None:
    always = set(b"-._~!$&'()*+,;=:@/[]|^") | {
        octet for octet in range(128) if bytes([octet]).isalnum()
    }
    in_query = always | set(b"?%{}`\\")
    for octet in range(256):
        if octet == ord("?"):
            continue  # ends a path
        for place, allowed in ((b"/a%bb", always), (b"/?a%bb", in_query)):
            target = place.replace(b"%b", bytes([octet]))
            if octet in allowed:
                split_target(b"GET", target, "http")
            else:
                with pytest.raises(ProtocolViolation):
                    split_target(b"GET", target, "http")


@pytest.mark.parametrize(
    ("connection", "in_10", "in_11"),
    [
        (None, False, True),
        (b"close", False, False),
        (b"Keep-Alive", True, True),
        (b"keep-alive, close", False, False),
        (b"upgrade", False, True),
        (b"", False, True),
    ],
)
def test_persistence(connection: bytes | None, in_10: bool, in_11: bool) -> None:
    fields = [] if connection is None else [(b"connection", connection)]
    assert persists("1.0", fields) == in_10
    assert persists("1.1", fields) == in_11


def test_who_takes_trailers() -> None:
    assert takes_trailers([(b"te", b"gzip;q=0.5, Trailers")])
    assert not takes_trailers([(b"te", b"gzip")])
    assert not takes_trailers([(b"trailer", b"x")])


def test_a_judged_response() -> None:
    head = judge_response(
        http.HTTPStatus.OK,
        [(b"X", b" y "), (b"Content-Length", b"07"), (b"Connection", b"Close, Foo")],
    )
    assert head.status == 200
    assert type(head.status) is int
    assert head.fields == [(b"X", b"y")]
    assert head.content_length == 7
    assert head.options == {b"close", b"foo"}
    assert head.names == {b"x"}


@pytest.mark.parametrize("octet", [*range(9), *range(10, 32), 127])
def test_no_control_character_goes_out(octet: int) -> None:
    field = (b"x", b"a" + bytes([octet]) + b"b")
    for judge in (judge_response, judge_interim):
        with pytest.raises(InvalidResponse):
            judge(200 if judge is judge_response else 103, [field])
    with pytest.raises(InvalidResponse):
        judge_trailers([field])
    with pytest.raises(InvalidResponse):
        judge_response(200, [field[::-1]])


def test_statuses() -> None:
    for status in range(200, 1000):
        assert judge_response(status, []).status == status
        assert has_content("GET", status) == (status not in (204, 205, 304))
        assert not has_content("HEAD", status)
    for status in (*range(100, 101), *range(102, 200)):
        assert judge_interim(status, []) == []
    for status in (-1, 0, 99, 100, 199, 1000, 2000):
        with pytest.raises(InvalidResponse):
            judge_response(status, [])
    for status in (-1, 0, 99, 101, 200):
        with pytest.raises(InvalidResponse):
            judge_interim(status, [])
