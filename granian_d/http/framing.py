"""Where messages of HTTP/1.x end: every smuggling rule in one pure function.

Rules of this file: `judge` for requests and `frame_response` for responses are the only doors,
they have no state, and every engine that speaks HTTP/1.x uses them. Whatever two servers in a
chain could read in two ways is refused, also where the RFC would let a server choose one of the
readings (RFC 9112 6.1, 6.3, 11.2).

The grammar of chunks is not here: it is read while the body arrives, by the engine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import BodyTooLarge, MethodNotImplemented, ProtocolViolation
from granian_d.http.fields import OWS, TOKEN, values
from granian_d.http.semantics import LENGTH_DIGITS, check_authority, has_content

if TYPE_CHECKING:
    from granian_d.http.message import Fields, HttpVersion

_DIGITS: Final = re.compile(rb"[0-9]+")


class Framing(NamedTuple):
    """The verdict on a request that may pass.

    Attributes:
        content_length: bytes of the body, 0 when there is none; None when it is chunked.
        host: the Host field, b"" when an HTTP/1.0 request has none.
    """

    content_length: int | None
    host: bytes


def judge(version: HttpVersion, fields: Fields) -> Framing:
    """Decide where the body of an HTTP/1.x request ends and whom the request is for.

    Args:
        version: "1.0" or "1.1".
        fields: the whole header section, as `parse_section` gives it.

    Raises:
        ProtocolViolation: framing or Host are faulty or ambiguous; close the connection.
        MethodNotImplemented: a transfer coding other than chunked.
        BodyTooLarge: a Content-Length beyond anything that can be counted.
    """
    host = _host(version, values(fields, b"host"))
    codings = values(fields, b"transfer-encoding")
    lengths = values(fields, b"content-length")
    if not codings:
        return Framing(_length(lengths) if lengths else 0, host)
    if version == "1.0":
        raise ProtocolViolation("Transfer-Encoding in an HTTP/1.0 request", "RFC 9112 6.1")
    if lengths:
        raise ProtocolViolation("both Transfer-Encoding and Content-Length", "RFC 9112 6.3")
    _check_codings(codings)
    return Framing(None, host)


def _host(version: HttpVersion, hosts: list[bytes]) -> bytes:
    if len(hosts) > 1:
        raise ProtocolViolation("more than one Host", "RFC 9112 3.2")
    if hosts:
        check_authority(hosts[0], "Host")
        return hosts[0]
    if version == "1.0":
        return b""
    raise ProtocolViolation("no Host", "RFC 9112 3.2")


def _length(lengths: list[bytes]) -> int:
    """RFC 9110 8.6. Repeated equal values, in lines or in a list, may be rejected: they are."""
    if len(lengths) > 1:
        raise ProtocolViolation("more than one Content-Length", "RFC 9112 6.3")
    if _DIGITS.fullmatch(lengths[0]) is None:
        raise ProtocolViolation("a Content-Length that is not a number", "RFC 9110 8.6")
    if len(lengths[0]) > LENGTH_DIGITS:
        raise BodyTooLarge("a Content-Length beyond measure", "RFC 9110 8.6")
    return int(lengths[0])


def _check_codings(codings: list[bytes]) -> None:
    """Pass `chunked` and nothing else (RFC 9112 6.1, 6.3 and 7).

    Neither empty members nor parameters are overlooked here, as lists elsewhere would have it:
    that is the play that Transfer-Encoding smuggling needs.
    """
    names = [coding.strip(OWS).lower() for coding in b",".join(codings).split(b",")]
    if names == [b"chunked"]:
        return
    if names[-1] != b"chunked":
        raise ProtocolViolation("a Transfer-Encoding that does not end in chunked", "RFC 9112 6.3")
    if b"chunked" in names[:-1]:
        raise ProtocolViolation("chunked more than once", "RFC 9112 6.1")
    if not all(TOKEN.fullmatch(name) for name in names):
        raise ProtocolViolation("a transfer coding that is not a token", "RFC 9112 7")
    raise MethodNotImplemented("a transfer coding other than chunked", "RFC 9112 6.1")


# How the end of a response's body is told.
NO_BODY: Final = 0  # by its head alone
LENGTH: Final = 1  # by Content-Length
CHUNKED: Final = 2  # by the last chunk
UNTIL_CLOSE: Final = 3  # by the end of the connection


class ResponseFraming(NamedTuple):
    """How a response is delimited.

    Attributes:
        kind: NO_BODY, LENGTH, CHUNKED or UNTIL_CLOSE.
        length: for the Content-Length field; None to send none.
    """

    kind: int
    length: int | None


def frame_response(
    request: tuple[str, HttpVersion],
    status: int,
    given: int | None,
    whole: int | None,
    trailers: bool,
) -> ResponseFraming:
    """Choose the framing of a response (RFC 9112 6.3, RFC 9110 8.6).

    Args:
        request: method and version.
        status: of the response.
        given: Content-Length of the application, if it gave one.
        whole: length of the whole body, if it is known by now.
        trailers: trailers will follow, so the body should be chunked.
    """
    method, version = request
    if not has_content(method, status):
        return ResponseFraming(NO_BODY, _length_without_body(status, given, whole))
    if given is not None:
        return ResponseFraming(LENGTH, given)
    if whole is not None and not trailers:
        return ResponseFraming(LENGTH, whole)
    return ResponseFraming(UNTIL_CLOSE if version == "1.0" else CHUNKED, None)


def _length_without_body(status: int, given: int | None, whole: int | None) -> int | None:
    """A Content-Length that no body follows speaks of the response to a GET."""
    if status == 205:
        return 0  # RFC 9112 6.3 does not know 205: without a length its body would be unbounded
    if status == 204:
        return None
    if given is None and status != 304:
        return whole or None  # an empty body in answer to HEAD says nothing about GET
    return given
