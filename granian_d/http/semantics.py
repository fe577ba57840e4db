"""What requests and responses mean, whatever the wire (RFC 9110), but for framing.

Rules of this file: pure functions and tables; nothing knows a connection. The first half is about
requests (target, persistence, expectation), the second about responses (what an application may
say, whether there is content, what the daemon adds).
"""

from __future__ import annotations

import re
from functools import lru_cache
from time import gmtime
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import (
    ExpectationFailed,
    InvalidResponse,
    MethodNotImplemented,
    MisdirectedRequest,
    ProtocolViolation,
)
from granian_d.http.fields import FORBIDDEN_IN_VALUE, OWS, TOKEN, members

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.http.message import FieldPairs, Fields, HttpVersion

# Of a Content-Length, zeros in front of it too. One digit less than 2**63 has: the greatest length
# that every part of every system can count.
LENGTH_DIGITS: Final = 18

# --- requests: the target ------------------------------------------------------------------------

# RFC 3986 3.2.2 and 3.2.3: uri-host [ ":" port ], without userinfo (RFC 9110 4.2.4). Of an IPv6
# literal only the shape is looked at; IPvFuture, which nobody uses, is not accepted.
_AUTHORITY: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)"
    rb"(?::([0-9]{0,5}))?"
)
_MAX_PORT: Final = 65535

# RFC 3986 3.3 and 3.4, and what browsers leave raw (WHATWG URL 1.3): "[]|^" in a path, those and
# "{}`\" and a lone "%" in a query. Refusing those would refuse a good part of the web.
PATH_PATTERN: Final = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]|^]|%[0-9A-Fa-f]{2})*")
QUERY_PATTERN: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]|^{}`\\]*")

_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?]*)(.*)")


class Target(NamedTuple):
    """A request target in its parts.

    Attributes:
        raw_path: as sent; b"*" for the asterisk-form.
        query: behind the first "?", without it.
        authority: of an absolute-form, which overrules Host; None in the other forms.
    """

    raw_path: bytes
    query: bytes
    authority: bytes | None


def check_authority(authority: bytes, where: str) -> None:
    """Raise ProtocolViolation unless `authority` is a host with perhaps a port.

    An empty host is refused: no http or https URI has one (RFC 9110 4.2.1, 4.2.2).
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None or int(match[1] or b"0") > _MAX_PORT:
        raise ProtocolViolation(f"an invalid authority in {where}", "RFC 9110 4.2, 7.2")


def split_target(method: bytes, target: bytes, scheme: str) -> Target:
    """Judge a target by the four forms of RFC 9112 3.2.

    Args:
        method: as sent.
        target: as sent, visible ASCII.
        scheme: of the connection.

    Raises:
        ProtocolViolation: the target has none of the forms that the method allows.
        MethodNotImplemented: CONNECT, which is for proxies (RFC 9110 9.3.6).
        MisdirectedRequest: an https URI on a connection that is not secured (RFC 9110 7.4).
    """
    if method == b"CONNECT":
        raise MethodNotImplemented("CONNECT", "RFC 9110 9.3.6")
    if target[:1] == b"/":
        return _split_origin(target, None)
    if target == b"*":
        if method != b"OPTIONS":
            raise ProtocolViolation("the target * of another method than OPTIONS", "RFC 9110 7.1")
        return Target(target, b"", None)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise ProtocolViolation("a target of no known form", "RFC 9112 3.2")
    return _split_absolute(method, absolute[1].lower(), absolute[2], absolute[3], scheme)


def _split_origin(target: bytes, authority: bytes | None) -> Target:
    path, _, query = target.partition(b"?")
    if PATH_PATTERN.fullmatch(path) is None or QUERY_PATTERN.fullmatch(query) is None:
        raise ProtocolViolation("a target with characters no URI has", "RFC 9112 3.2")
    return Target(path, query, authority)


def _split_absolute(
    method: bytes, target_scheme: bytes, authority: bytes, rest: bytes, scheme: str
) -> Target:
    if target_scheme not in (b"http", b"https"):
        raise ProtocolViolation("a target of a foreign scheme", "RFC 9110 4.2")
    if target_scheme == b"https" and scheme != "https":
        raise MisdirectedRequest("an https target on a plain connection", "RFC 9110 7.4")
    check_authority(authority, "the target")
    if not rest and method == b"OPTIONS":
        return Target(b"*", b"", authority)  # RFC 9112 3.2.4: the server as a whole
    if rest[:1] != b"/":
        rest = b"/" + rest  # RFC 9110 4.2.3: an empty path is "/"
    return _split_origin(rest, authority)


# --- requests: what is asked of the connection ---------------------------------------------------


def persists(version: HttpVersion, fields: Fields) -> bool:
    """Whether the client wants the connection to stay (RFC 9112 9.3)."""
    options = members(fields, b"connection")
    if b"close" in options:
        return False
    return version != "1.0" or b"keep-alive" in options


def expects_continue(version: HttpVersion, fields: Fields) -> bool:
    """Whether the client waits for a 100 before it sends the body (RFC 9110 10.1.1).

    Raises:
        ExpectationFailed: it expects something else.
    """
    if version == "1.0":
        return False
    expectations = members(fields, b"expect")
    if expectations and set(expectations) != {b"100-continue"}:
        raise ExpectationFailed("an expectation other than 100-continue", "RFC 9110 10.1.1")
    return bool(expectations)


def takes_trailers(fields: Fields) -> bool:
    """Whether the client has said that it takes trailers (RFC 9110 6.5.1, 10.1.4)."""
    return b"trailers" in members(fields, b"te")


# --- responses: what an application may say ------------------------------------------------------

# Fields about the connection, which is ours and not the application's (RFC 9110 7.6.1).
_OF_THE_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding")
)

# Must be known before the content, or would change what has been said before it (RFC 9110 6.5.1).
_NOT_IN_TRAILERS: Final = _OF_THE_CONNECTION | frozenset(
    b"age authorization cache-control content-encoding content-length content-range content-type"
    b" date expect expires host location max-forwards pragma proxy-authenticate"
    b" proxy-authorization range retry-after set-cookie te trailer upgrade vary"
    b" www-authenticate".split()
)

_NO_CONTENT: Final = frozenset((204, 205, 304))
_WITHOUT_LENGTH: Final = frozenset((204, 205))  # what the application says of it is not sent


class ResponseHead(NamedTuple):
    """The head of a response as the application gave it, judged.

    Attributes:
        status: 200 to 999.
        fields: names as given, values stripped; without what is about framing and connection.
        content_length: as given, None if it was not, or if the status has none.
        options: of the connection, in lower case, without keep-alive.
        names: the names of `fields`, in lower case.
    """

    status: int
    fields: list[tuple[bytes, bytes]]
    content_length: int | None
    options: frozenset[bytes]
    names: frozenset[bytes]


def judge_response(status: int, pairs: FieldPairs) -> ResponseHead:
    """Judge the head of a final response.

    An empty Server is left out and counts as given: who wants none says so.

    Raises:
        InvalidResponse: it must not go out.
    """
    if type(status) is bool or not isinstance(status, int) or not 200 <= status <= 999:
        raise InvalidResponse(f"{status!r} is not the status of a final response")
    fields: list[tuple[bytes, bytes]] = []
    names = set()
    options: set[bytes] = set()
    lengths = set()
    for name, value in _checked(pairs):
        key = name.lower()
        if key == b"content-length":
            lengths.add(value)
        elif key == b"connection":
            options.update(option.strip(OWS) for option in value.lower().split(b","))
        elif key not in _OF_THE_CONNECTION:
            names.add(key)
            if value or key != b"server":
                fields.append((name, value))
    if b"upgrade" in names:
        options.add(b"upgrade")  # RFC 9110 7.8: a sender of Upgrade must say so
    content_length = _given_length(lengths)
    return ResponseHead(
        int(status),
        fields,
        None if status in _WITHOUT_LENGTH else content_length,
        frozenset(options - {b"", b"keep-alive"}),
        frozenset(names),
    )


def advertising(head: ResponseHead, alt_svc: bytes) -> ResponseHead:
    """The head with an Alt-Svc, unless the application has given one (RFC 7838 3)."""
    if b"alt-svc" in head.names:
        return head
    return head._replace(fields=[*head.fields, (b"alt-svc", alt_svc)])


def judge_interim(status: int, pairs: FieldPairs) -> list[tuple[bytes, bytes]]:
    """Judge an interim response; its fields without those that it must not have.

    Raises:
        InvalidResponse: it must not go out. 101 is one of those: it ends HTTP on the connection.
    """
    if type(status) is bool or not isinstance(status, int) or not 100 <= status <= 199:
        raise InvalidResponse(f"{status!r} is not the status of an interim response")
    if status == 101:
        raise InvalidResponse("101 is not an interim response that an application may send")
    dropped = _OF_THE_CONNECTION | {b"content-length"}  # RFC 9110 8.6, RFC 9112 6.1
    return [(name, value) for name, value in _checked(pairs) if name.lower() not in dropped]


def judge_switch(pairs: FieldPairs) -> list[tuple[bytes, bytes]]:
    """What may stand in the response that accepts another protocol, beside Connection and Upgrade.

    Raises:
        InvalidResponse: one of them is no field at all.
    """
    dropped = _OF_THE_CONNECTION | {b"content-length", b"upgrade"}  # RFC 9110 8.6
    return [(name, value) for name, value in _checked(pairs) if name.lower() not in dropped]


def judge_trailers(pairs: FieldPairs) -> list[tuple[bytes, bytes]]:
    """The trailers that may go out; the others are dropped (RFC 9110 6.5.1).

    Raises:
        InvalidResponse: one of them is no field at all.
    """
    return [
        (name, value) for name, value in _checked(pairs) if name.lower() not in _NOT_IN_TRAILERS
    ]


def has_content(method: str, status: int) -> bool:
    """Whether a response has content at all (RFC 9110 6.4.1, 15.3.6)."""
    return method != "HEAD" and status not in _NO_CONTENT


def _checked(pairs: FieldPairs) -> Iterable[tuple[bytes, bytes]]:
    """Field pairs of an application, each checked, values stripped of OWS (RFC 9110 5.5)."""
    for name, value in pairs:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise InvalidResponse(f"a field that is not bytes: {name!r}: {value!r}")
        if TOKEN.fullmatch(name) is None:
            raise InvalidResponse(f"a field name that is not a token: {name!r}")
        if FORBIDDEN_IN_VALUE.search(value):
            raise InvalidResponse(f"a control character in the value of {name!r}")
        yield name, value.strip(OWS)


def _given_length(lengths: set[bytes]) -> int | None:
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > LENGTH_DIGITS:
        raise InvalidResponse("Content-Length is not one number that can be counted")
    return int(length)


# --- responses: what the daemon adds -------------------------------------------------------------

REASONS: Final = {
    100: b"Continue",
    101: b"Switching Protocols",
    102: b"Processing",
    103: b"Early Hints",
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    203: b"Non-Authoritative Information",
    204: b"No Content",
    205: b"Reset Content",
    206: b"Partial Content",
    207: b"Multi-Status",
    208: b"Already Reported",
    226: b"IM Used",
    300: b"Multiple Choices",
    301: b"Moved Permanently",
    302: b"Found",
    303: b"See Other",
    304: b"Not Modified",
    305: b"Use Proxy",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    406: b"Not Acceptable",
    407: b"Proxy Authentication Required",
    408: b"Request Timeout",
    409: b"Conflict",
    410: b"Gone",
    411: b"Length Required",
    412: b"Precondition Failed",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    416: b"Range Not Satisfiable",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    422: b"Unprocessable Content",
    423: b"Locked",
    424: b"Failed Dependency",
    425: b"Too Early",
    426: b"Upgrade Required",
    428: b"Precondition Required",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    451: b"Unavailable For Legal Reasons",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    506: b"Variant Also Negotiates",
    507: b"Insufficient Storage",
    508: b"Loop Detected",
    511: b"Network Authentication Required",
}

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


@lru_cache(maxsize=1)
def imf_fixdate(unix_s: int) -> bytes:
    """A point in time as IMF-fixdate (RFC 9110 5.6.7); made once a second.

    Written out because strftime would speak the language of the locale.
    """
    at = gmtime(unix_s)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return (
        f"{day}, {at.tm_mday:02} {month} {at.tm_year:04}"
        f" {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    ).encode()
