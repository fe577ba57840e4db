"""The framing verdict as a table, and the choice of a response's framing as another."""

from __future__ import annotations

import itertools

import pytest

from granian_d.errors import BodyTooLarge, MethodNotImplemented, ProtocolViolation
from granian_d.http.framing import (
    CHUNKED,
    LENGTH,
    NO_BODY,
    UNTIL_CLOSE,
    frame_response,
    judge,
)

HOST = (b"host", b"a")
TE, CL = b"transfer-encoding", b"content-length"


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ([], 0),
        ([(CL, b"0")], 0),
        ([(CL, b"000")], 0),
        ([(CL, b"007")], 7),
        ([(CL, b"0" * 17 + b"7")], 7),
        ([(CL, b"9" * 18)], 10**18 - 1),
        ([(TE, b"chunked")], None),
        ([(TE, b"\tChunked ")], None),
    ],
)
def test_good_framing(fields: list, length: int | None) -> None:
    assert judge("1.1", [HOST, *fields]) == (length, b"a")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(CL, b"9" * 19)], 413),
        ([(CL, b"0" * 18 + b"7")], 413),
        ([(CL, b"1" + b"0" * 5000)], 413),
        ([(CL, b"5"), (CL, b"5")], 400),
        ([(CL, b"5,5")], 400),
        ([(CL, b"")], 400),
        ([(TE, b"")], 400),
        ([(TE, b"gzip")], 400),
        ([(TE, b"gzip,chunked")], 501),
        ([(TE, b"gzip"), (TE, b"chunked")], 501),
        ([(TE, b"chunked"), (TE, b"gzip")], 400),
        ([(TE, b"chunked,chunked")], 400),
        ([(TE, b"gzip,chunked,chunked")], 400),
        ([(TE, b'a";b,chunked')], 400),
        ([(TE, b"chunked"), (CL, b"5")], 400),
    ],
)
def test_bad_framing(fields: list, status: int) -> None:
    with pytest.raises((ProtocolViolation, MethodNotImplemented, BodyTooLarge)) as caught:
        judge("1.1", [HOST, *fields])
    assert caught.value.http_status == status
    if status != 413:
        with pytest.raises(ProtocolViolation):
            judge("1.0", [HOST, *fields])


def test_every_order_of_the_lines_has_the_same_verdict() -> None:
    lines = [(TE, b"chunked"), (CL, b"5"), HOST, (b"x", b"y")]
    for order in itertools.permutations(lines):
        with pytest.raises(ProtocolViolation, match="both"):
            judge("1.1", list(order))


@pytest.mark.parametrize("body", [None, 0, 5])
@pytest.mark.parametrize("given", [None, 0, 7])
@pytest.mark.parametrize("trailers", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_framing_of_responses(
    version: str, trailers: bool, given: int | None, body: int | None
) -> None:
    def framing(method: str, status: int) -> tuple:
        return frame_response((method, version), status, given, body, trailers)

    assert framing("GET", 204) == (NO_BODY, None)
    assert framing("HEAD", 204) == (NO_BODY, None)
    assert framing("GET", 205) == (NO_BODY, 0)
    assert framing("GET", 304) == (NO_BODY, given)
    assert framing("HEAD", 200) == (NO_BODY, given if given is not None else body or None)
    if given is not None:
        expected = (LENGTH, given)
    elif body is not None and not trailers:
        expected = (LENGTH, body)
    else:
        expected = (CHUNKED, None) if version == "1.1" else (UNTIL_CLOSE, None)
    assert framing("GET", 200) == expected
    assert framing("POST", 999) == expected
