"""The opening handshake of a WebSocket: what is asked for, what is agreed (RFC 6455 4, RFC 7692 5).

Rules of this file: pure functions; nothing knows a connection. Strict as `fields.py` is. An
extension that cannot be had is declined, never refused: only what has no form is a violation.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import InvalidResponse, ProtocolViolation, UpgradeRequired
from granian_d.http.fields import OWS, TOKEN, TOKEN_PATTERN, values
from granian_d.http.semantics import judge_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.http.message import FieldPairs, Fields, RequestHead

VERSION: Final = b"13"  # RFC 6455 4.1

# 16 octets in base64 (RFC 6455 4.2.1, RFC 4648 4).
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
_SALT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3

_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_VALUE: Final = rb"(?:%b|%b)" % (TOKEN_PATTERN, _QUOTED)
_PARAMETER: Final = re.compile(rb"[ \t]*;[ \t]*(%b)(?:=(%b))?" % (TOKEN_PATTERN, _VALUE))
# One member of Sec-WebSocket-Extensions (RFC 6455 9.1), with what follows up to the next one.
_EXTENSION: Final = re.compile(
    rb"(%b)((?:[ \t]*;[ \t]*%b(?:=%b)?)*)[ \t]*(?:,|$)" % (TOKEN_PATTERN, TOKEN_PATTERN, _VALUE)
)
_EMPTY_MEMBERS: Final = re.compile(rb"[ \t,]*")  # RFC 9110 5.6.1.2: parsed and ignored
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)

_DEFLATE: Final = "permessage-deflate"
_FLAGS: Final[tuple[str, ...]] = ("server_no_context_takeover", "client_no_context_takeover")
# Values of the parameters that an offer may have (RFC 7692 7.1); "" stands for none. An offer that
# wants us to keep to a window of 8 bits is declined: zlib cannot write such a raw stream.
_DEFLATE_PARAMETERS: Final = {
    **dict.fromkeys(_FLAGS, re.compile(r"")),
    "server_max_window_bits": re.compile(r"9|1[0-5]"),
    "client_max_window_bits": re.compile(r"(?:[89]|1[0-5])?"),
}
_FULL_WINDOW_BITS: Final = 15
_LEAST_WINDOW_BITS: Final = 9
# What we take where we may choose. A window of 4 KiB holds the last few dozen messages of a usual
# conversation, and both contexts together need about 50 KiB: with the full window it is 300.
_OUR_WINDOW_BITS: Final = 12

# Fields of the answer that follow from what is agreed: an application does not give them.
_OURS: Final = frozenset(
    (b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol")
)


class Extension(NamedTuple):
    """One that the client offers, with the parameters it proposes; None: one without a value."""

    name: str
    parameters: tuple[tuple[str, str | None], ...]


class Offer(NamedTuple):
    """What a client asks for.

    Attributes:
        key: as sent; b"" where there is none (RFC 8441 5).
        subprotocols: in the client's order of preference.
        extensions: in the client's order of preference.
    """

    key: bytes
    subprotocols: tuple[str, ...]
    extensions: tuple[Extension, ...]


class Deflate(NamedTuple):
    """What is agreed about permessage-deflate (RFC 7692 7.1).

    Attributes:
        server_no_context_takeover: each of our messages is compressed by itself.
        client_no_context_takeover: so is each of the client's.
        server_max_window_bits: of what we send, 9 to 15.
        client_max_window_bits: of what we must be ready for, 9 to 15.
        value: of our Sec-WebSocket-Extensions.
    """

    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_max_window_bits: int
    client_max_window_bits: int
    value: bytes


def judge_handshake(head: RequestHead) -> Offer:
    """Judge a request for a WebSocket (`head.protocol` says that it is one).

    Raises:
        UpgradeRequired: it is one of another version (RFC 6455 4.4).
        ProtocolViolation: it breaks RFC 6455 4.2.1 or RFC 8441 5.
    """
    fields = head.fields
    streamed = head.version in {"2", "3"}
    if streamed:
        if head.method != "CONNECT":
            raise ProtocolViolation("a WebSocket by another method than CONNECT", "RFC 8441 5")
    elif head.method != "GET" or head.version != "1.1":
        raise ProtocolViolation("a WebSocket not by GET and HTTP/1.1", "RFC 6455 4.2.1")
    elif head.content_length != 0:
        # What follows the head are frames: a body would be taken for some of them, or they for it.
        raise ProtocolViolation("a handshake with a body", "RFC 6455 4.1")
    if values(fields, b"sec-websocket-version") != [VERSION]:
        raise UpgradeRequired("a WebSocket version other than 13", "RFC 6455 4.4")
    key = b"" if streamed else _key(fields)
    return Offer(
        key,
        _subprotocols(values(fields, b"sec-websocket-protocol")),
        _extensions(values(fields, b"sec-websocket-extensions")),
    )


def accept_key(key: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept (RFC 6455 4.2.2)."""
    return b64encode(sha1(key + _SALT, usedforsecurity=False).digest())


def agree_on_deflate(extensions: Iterable[Extension]) -> Deflate | None:
    """Accept the first offer of permessage-deflate that can be accepted; None: there is none."""
    for extension in extensions:
        if extension.name == _DEFLATE:
            agreed = _agree(extension.parameters)
            if agreed is not None:
                return agreed
    return None


def response_fields(
    offer: Offer, subprotocol: str | None, deflate: Deflate | None, given: FieldPairs
) -> Fields:
    """The fields of the response that begins the conversation.

    Args:
        offer: what the client asks for.
        subprotocol: that the application has chosen of it.
        deflate: what is agreed.
        given: by the application. Fields about framing and connection are left out.

    Raises:
        InvalidResponse: one of the given must not go out, or the subprotocol was not offered.
    """
    if subprotocol is not None and subprotocol not in offer.subprotocols:
        raise InvalidResponse(f"the subprotocol {subprotocol!r} was not offered")
    fields: Fields = []
    if offer.key:
        fields.append((b"sec-websocket-accept", accept_key(offer.key)))
    if subprotocol is not None:
        fields.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    if deflate is not None:
        fields.append((b"sec-websocket-extensions", deflate.value))
    for name, value in judge_response(200, given).fields:
        key = name.lower()
        if key in _OURS:
            raise InvalidResponse(f"{name!r} is not the application's to give")
        if key != b"upgrade":
            fields.append((name, value))
    return fields


# --- what is asked for ---------------------------------------------------------------------------


def _key(fields: Fields) -> bytes:
    keys = values(fields, b"sec-websocket-key")
    if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
        raise ProtocolViolation("not one key of 16 octets", "RFC 6455 4.2.1")
    return keys[0]


def _subprotocols(lines: list[bytes]) -> tuple[str, ...]:
    found = []
    for line in lines:
        names = [name for part in line.split(b",") if (name := part.strip(OWS))]
        if not names or not all(TOKEN.fullmatch(name) for name in names):
            raise ProtocolViolation("subprotocols that are no list of tokens", "RFC 6455 4.1")
        found += [name.decode("ascii") for name in names]
    if len(set(found)) != len(found):
        raise ProtocolViolation("a subprotocol twice", "RFC 6455 4.1")
    return tuple(found)


def _extensions(lines: list[bytes]) -> tuple[Extension, ...]:
    found: list[Extension] = []
    for line in lines:
        before = len(found)
        at = _end_of(_EMPTY_MEMBERS, line, 0)
        while at < len(line):
            member = _EXTENSION.match(line, at)
            if member is None:
                raise ProtocolViolation("extensions that are no such list", "RFC 6455 9.1")
            found.append(Extension(member[1].decode("ascii"), _parameters(member[2])))
            at = _end_of(_EMPTY_MEMBERS, line, member.end())
        if len(found) == before:
            raise ProtocolViolation("an empty list of extensions", "RFC 6455 9.1")
    return tuple(found)


def _end_of(pattern: re.Pattern[bytes], line: bytes, at: int) -> int:
    match = pattern.match(line, at)
    return at if match is None else match.end()


def _parameters(text: bytes) -> tuple[tuple[str, str | None], ...]:
    return tuple(
        (match[1].decode("ascii"), None if match[2] is None else _unquote(match[2]))
        for match in _PARAMETER.finditer(text)
    )


def _unquote(value: bytes) -> str:
    if value[:1] == b'"':
        value = _ESCAPED.sub(rb"\1", value[1:-1])
        if TOKEN.fullmatch(value) is None:  # RFC 6455 9.1: it must be one behind the quotes, too
            raise ProtocolViolation("a quoted parameter that is no token", "RFC 6455 9.1")
    return value.decode("ascii")


# --- what is agreed ------------------------------------------------------------------------------


def _agree(parameters: tuple[tuple[str, str | None], ...]) -> Deflate | None:
    """The answer to one offer; None declines it (RFC 7692 7.1)."""
    proposed: dict[str, str] = {}
    for name, value in parameters:
        grammar = _DEFLATE_PARAMETERS.get(name)
        if grammar is None or name in proposed or not grammar.fullmatch(value or ""):
            return None
        proposed[name] = value or ""
    server_bits = min(int(proposed.get("server_max_window_bits", 15)), _OUR_WINDOW_BITS)
    client_bits = int(proposed.get("client_max_window_bits") or 15)
    answer = [name for name in _FLAGS if name in proposed]
    answer.append(f"server_max_window_bits={server_bits}")
    # RFC 7692 7.1.2.2: only a client that has named the parameter understands it in the answer.
    # A window of 8 bits is not asked for, because clients that write by zlib use 9 for it.
    if "client_max_window_bits" in proposed and client_bits >= _LEAST_WINDOW_BITS:
        client_bits = min(client_bits, _OUR_WINDOW_BITS)
        answer.append(f"client_max_window_bits={client_bits}")
    else:
        client_bits = _FULL_WINDOW_BITS
    value_of_field = "; ".join([_DEFLATE, *answer]).encode("ascii")
    alone = [name in proposed for name in _FLAGS]
    return Deflate(alone[0], alone[1], server_bits, client_bits, value_of_field)
