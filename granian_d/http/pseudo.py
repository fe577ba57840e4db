"""Requests as HTTP/2 and HTTP/3 have them: from a decoded field section to a RequestHead.

RFC 9113 8 and RFC 9114 4 have the same rules in other places: `Rules` says where.

Rules of this file: pure functions; no frame, stream or compression is known. Nothing is repaired
but what the RFC says is to be (cookie crumbs). A violation with status 400 means a malformed
message, whose stream is reset; one with another status is answered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import (
    BodyTooLarge,
    HeadTooLarge,
    MethodNotImplemented,
    ProtocolViolation,
)
from granian_d.http.fields import FORBIDDEN_IN_VALUE, OWS, TOKEN
from granian_d.http.message import RequestHead
from granian_d.http.semantics import (
    LENGTH_DIGITS,
    check_authority,
    expects_continue,
    split_target,
)

if TYPE_CHECKING:
    from granian_d.http.message import Fields, HttpVersion
    from granian_d.plan import Limits

ENTRY_BYTES: Final = 32  # that a field counts beyond its octets (RFC 9113 6.5.2, RFC 9114 4.2.2)
METHOD_BYTES: Final = 32  # as on HTTP/1: no registered method is longer

_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_SCHEMES: Final = frozenset((b"http", b"https"))

# A token without upper case (RFC 9113 8.2.1, RFC 9114 4.2). The colon of a pseudo-field is none.
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")

# RFC 9113 8.2.2, RFC 9114 4.2. `te` may say one thing.
_OF_THE_CONNECTION: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)

_DIGITS: Final = re.compile(rb"[0-9]+")


class Rules(NamedTuple):
    """Where the rules stand.

    Attributes:
        version: of HTTP.
        trailers: what a message consists of.
        length: of content, and what Content-Length says.
        names, values, connection: of fields; those that are about the connection.
        pseudo: pseudo-fields; `request` those of requests, and what they say.
        connect: CONNECT; `extended` the one with :protocol, `announced` by a setting.
        size: of a section.
    """

    version: HttpVersion
    trailers: str
    length: str
    names: str
    values: str
    connection: str
    pseudo: str
    request: str
    connect: str
    extended: str
    announced: str
    size: str


HTTP2: Final = Rules(
    version="2",
    trailers="RFC 9113 8.1",
    length="RFC 9113 8.1.1",
    names="RFC 9113 8.2.1",
    values="RFC 9113 8.2.1",
    connection="RFC 9113 8.2.2",
    pseudo="RFC 9113 8.3",
    request="RFC 9113 8.3.1",
    connect="RFC 9113 8.5",
    extended="RFC 8441 4",
    announced="RFC 8441 3",
    size="RFC 9113 10.5.1",
)
HTTP3: Final = Rules(
    version="3",
    trailers="RFC 9114 4.1",
    length="RFC 9114 4.1.2",
    names="RFC 9114 4.2",
    values="RFC 9114 10.3",
    connection="RFC 9114 4.2",
    pseudo="RFC 9114 4.3",
    request="RFC 9114 4.3.1",
    connect="RFC 9114 4.4",
    extended="RFC 9220 3",
    announced="RFC 9220 3",
    size="RFC 9114 4.2.2",
)


def section_bytes(fields: Fields) -> int:
    """The size of a section as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 6.5.2)."""
    size = 0
    for name, value in fields:  # half the price of a generator
        size += len(name) + len(value) + ENTRY_BYTES
    return size


def judge_request(fields: Fields, ended: bool, limits: Limits, rules: Rules = HTTP2) -> RequestHead:
    """The head for the application, if it may pass.

    Neither pseudo-fields nor Host are among its `fields`: `authority` is what both have said.

    Args:
        fields: the section as decoded, pseudo-fields first; names and values as on the wire.
        ended: no body follows (the stream ends with the section).
        limits: head_bytes, head_fields, body_bytes, fields_bytes; whether there is WebSocket.
        rules: of the version of HTTP.

    Raises:
        ProtocolViolation: the request is malformed.
        HeadTooLarge, BodyTooLarge: a limit is passed.
        MethodNotImplemented: CONNECT, or a protocol that is not spoken here.
        ExpectationFailed: of another expectation than 100-continue.
    """
    pseudo, others = _divide(fields, rules)
    check_fields(others, rules)
    others = _join_cookies(others)
    check_size(fields, len(others), limits, rules)
    method = _method(pseudo, rules)
    protocol = _protocol(method, pseudo, limits, rules)
    if pseudo.get(b":scheme") not in _SCHEMES:
        raise ProtocolViolation("no :scheme, or a foreign one", rules.request)
    path, query = _path(method, pseudo, rules)
    authority, others = _authority(pseudo, others, rules)
    content_length = None if protocol else _content_length(others, ended, limits, rules)
    waits = expects_continue(rules.version, others) and not ended and content_length != 0
    return RequestHead(
        method.decode("ascii"),
        path,
        query,
        authority,
        rules.version,
        others,
        content_length,
        waits,
        protocol,
    )


def judge_again(
    fields: Fields, at: int, known: RequestHead, limits: Limits, rules: Rules = HTTP2
) -> RequestHead:
    """The head of a request that differs from a known one in its path at most.

    Args:
        fields: the section as decoded.
        at: where :path stands in it.
        known: what `judge_request` has made of the other section.
        limits: as there.
        rules: as there.

    Raises:
        ProtocolViolation: as there.
    """
    said = fields[at][1]
    _check_value(said, rules)
    check_size(fields, 0, limits, rules)  # they are as many as were few enough
    path, query = _path(known.method.encode("ascii"), {b":path": said}, rules)
    return with_path(known, path, query)


def with_path(known: RequestHead, path: bytes, query: bytes) -> RequestHead:
    """The same request for something else."""
    return RequestHead(
        known.method,
        path,
        query,
        known.authority,
        known.version,
        list(known.fields),
        known.content_length,
        known.expects_continue,
        known.protocol,
    )


def check_trailers(fields: Fields, rules: Rules = HTTP2) -> None:
    """Raise ProtocolViolation unless this is a trailer section."""
    if any(name[:1] == b":" for name, _ in fields):
        raise ProtocolViolation("a pseudo-field in trailers", rules.trailers)
    check_fields(fields, rules)


def check_size(fields: Fields, count: int, limits: Limits, rules: Rules = HTTP2) -> None:
    """Raise HeadTooLarge when a section passes a limit.

    Args:
        fields: the whole section, as decoded.
        count: of field lines, without pseudo-fields; all crumbs of a cookie are one.
        limits: head_bytes is for the octets alone, fields_bytes for them as HPACK counts.
        rules: of the version of HTTP.
    """
    size = section_bytes(fields)
    if size > limits.http2.fields_bytes:
        raise HeadTooLarge("a field section too large", rules.size)
    if size - ENTRY_BYTES * len(fields) > limits.head_bytes:
        raise HeadTooLarge("a head too large", "RFC 6585 5")
    if count > limits.head_fields:
        raise HeadTooLarge("too many fields", "RFC 6585 5")


def check_fields(fields: Fields, rules: Rules = HTTP2) -> None:
    """Raise ProtocolViolation for a field that no message has."""
    for name, value in fields:
        if _NAME.fullmatch(name) is None:
            if TOKEN.fullmatch(name) is not None:
                raise ProtocolViolation("upper case in a field name", rules.names)
            raise ProtocolViolation("a field name that is not a token", rules.names)
        _check_value(value, rules)
        if name in _OF_THE_CONNECTION:
            raise ProtocolViolation("a field about the connection", rules.connection)
        if name == b"te" and value.lower() != b"trailers":
            raise ProtocolViolation("TE with more than trailers", rules.connection)


def _check_value(value: bytes, rules: Rules) -> None:
    if FORBIDDEN_IN_VALUE.search(value):
        raise ProtocolViolation("a control character in a field value", rules.values)
    if value != value.strip(OWS):
        raise ProtocolViolation("white space around a field value", rules.values)


def _divide(fields: Fields, rules: Rules) -> tuple[dict[bytes, bytes], Fields]:
    """Pseudo-fields, and those behind them."""
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in _PSEUDO:
            raise ProtocolViolation("an unknown pseudo-field", rules.pseudo)
        if name in pseudo:
            raise ProtocolViolation("a pseudo-field twice", rules.pseudo)
        _check_value(value, rules)
        pseudo[name] = value
    others = fields[len(pseudo) :]
    for name, _ in others:
        if name[:1] == b":":
            raise ProtocolViolation("a pseudo-field behind a field", rules.pseudo)
    return pseudo, others


def _method(pseudo: dict[bytes, bytes], rules: Rules) -> bytes:
    method = pseudo.get(b":method", b"")
    if TOKEN.fullmatch(method) is None:
        raise ProtocolViolation("no :method, or one that is not a token", rules.request)
    if len(method) > METHOD_BYTES:
        raise MethodNotImplemented("a method longer than any", "RFC 9110 15.6.2")
    return method


def _protocol(method: bytes, pseudo: dict[bytes, bytes], limits: Limits, rules: Rules) -> str:
    """What CONNECT asks for; "" for all other requests."""
    protocol = pseudo.get(b":protocol")
    if protocol is None:
        if method != b"CONNECT":
            return ""
        if b":scheme" in pseudo or b":path" in pseudo or not pseudo.get(b":authority"):
            raise ProtocolViolation("a malformed CONNECT", rules.connect)
        raise MethodNotImplemented("CONNECT", "RFC 9110 9.3.6")
    if limits.websocket is None:
        # SETTINGS_ENABLE_CONNECT_PROTOCOL was not sent: to us it is unknown.
        raise ProtocolViolation("an unknown pseudo-field", rules.announced)
    if method != b"CONNECT":
        raise ProtocolViolation(":protocol without CONNECT", rules.extended)
    if not pseudo.get(b":authority"):
        raise ProtocolViolation("an extended CONNECT without :authority", rules.extended)
    if protocol != b"websocket":
        raise MethodNotImplemented("an unknown :protocol", rules.extended)
    return "websocket"


def _path(method: bytes, pseudo: dict[bytes, bytes], rules: Rules) -> tuple[bytes, bytes]:
    """Path and query. No form but two: the others of HTTP/1 have pseudo-fields of their own."""
    path = pseudo.get(b":path", b"")
    if path[:1] != b"/" and path != b"*":
        raise ProtocolViolation("no :path, or an invalid one", rules.request)
    # An extended CONNECT has the target of a GET (RFC 8441 4).
    target = split_target(b"GET" if method == b"CONNECT" else method, path, "https")
    return target.raw_path, target.query


def _authority(pseudo: dict[bytes, bytes], fields: Fields, rules: Rules) -> tuple[bytes, Fields]:
    """Whom the request is for, and the fields without Host."""
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1:
        raise ProtocolViolation("more than one Host", "RFC 9110 7.2")
    authority = pseudo.get(b":authority")
    if authority is None:
        if not hosts:
            raise ProtocolViolation("neither :authority nor Host", rules.request)
        authority = hosts[0]
    elif hosts and hosts[0].lower() != authority.lower():
        raise ProtocolViolation("Host differs from :authority", rules.request)
    check_authority(authority, ":authority or Host")
    return authority, [pair for pair in fields if pair[0] != b"host"]


def _join_cookies(fields: Fields) -> Fields:
    """One Cookie in the place of the first crumb of several (RFC 9113 8.2.3, RFC 9114 4.2.1)."""
    crumbs = [value for name, value in fields if name == b"cookie"]
    if len(crumbs) < 2:
        return fields
    joined: Fields = []
    for name, value in fields:
        if name != b"cookie":
            joined.append((name, value))
        elif crumbs:
            joined.append((name, b"; ".join(crumbs)))
            crumbs = []
    return joined


def _content_length(fields: Fields, ended: bool, limits: Limits, rules: Rules) -> int | None:
    """How many octets of DATA there must be; None when it was not said."""
    lengths = [value for name, value in fields if name == b"content-length"]
    if not lengths:
        return 0 if ended else None
    if len(lengths) > 1 or _DIGITS.fullmatch(lengths[0]) is None:
        raise ProtocolViolation("a Content-Length that is not one number", "RFC 9110 8.6")
    if len(lengths[0]) > LENGTH_DIGITS:
        raise BodyTooLarge("a Content-Length beyond measure", "RFC 9110 8.6")
    length = int(lengths[0])
    if ended and length:
        raise ProtocolViolation("a Content-Length without content", rules.length)
    if 0 < limits.body_bytes < length:
        raise BodyTooLarge("a body too large", "RFC 9110 15.5.14")
    return length
