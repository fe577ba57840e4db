"""What `start_response` is given, made into what an Exchange takes.

Form and types are judged here, as PEP 3333 demands them; values by the engine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import InvalidResponse
from granian_d.http.semantics import REASONS
from granian_d.interface.fields import declared_length

if TYPE_CHECKING:
    from granian_d.http.message import Fields

_ZERO: Final = ord("0")
_NINE: Final = ord("9")
_SAFE_DIGITS: Final = 18  # of a number that 64 bits can hold

_STATUS: Final = re.compile(r"([0-9]{3}) .*")

# What nearly all responses have, so that nothing needs to be read or encoded for them.
_STATUSES: Final = {f"{number} {reason.decode()}": number for number, reason in REASONS.items()}
_NAMES: Final = {
    name.decode(): name
    for spelled in (
        b"Accept-Ranges Access-Control-Allow-Credentials Access-Control-Allow-Headers"
        b" Access-Control-Allow-Methods Access-Control-Allow-Origin Access-Control-Expose-Headers"
        b" Access-Control-Max-Age Age Allow Cache-Control Content-Disposition Content-Encoding"
        b" Content-Language Content-Length Content-Location Content-Range Content-Security-Policy"
        b" Content-Type Cross-Origin-Embedder-Policy Cross-Origin-Opener-Policy"
        b" Cross-Origin-Resource-Policy Date ETag Expires Last-Modified Link Location"
        b" Permissions-Policy Pragma Referrer-Policy Retry-After Server Server-Timing Set-Cookie"
        b" Strict-Transport-Security Vary WWW-Authenticate X-Content-Type-Options X-Frame-Options"
        b" X-Request-ID X-Robots-Tag X-XSS-Protection"
    ).split()
    for name in (spelled, spelled.lower())
}

# RFC 2616 13.5.1 has the list that PEP 3333 means ("Other HTTP Features"): these fields are about
# the connection, which is the server's.
_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailers transfer-encoding"
    b" upgrade".split()
)


def parse_status(status: Any) -> int:
    """The number in "200 OK".

    Raises:
        InvalidResponse: it is not three digits, a space and a reason.
    """
    if not isinstance(status, str):
        raise InvalidResponse(f"status must be a str, not {type(status).__name__}")
    number = _STATUSES.get(status)
    if number is not None:
        return number
    parts = _STATUS.fullmatch(status)
    if parts is None:
        raise InvalidResponse(f"{status!r} is not a status: three digits, a space, a reason")
    return int(parts[1])


def encode_fields(headers: Any) -> Fields:
    """The header list in bytes.

    Raises:
        InvalidResponse: it is not a list of pairs of str, or has what an application may not set.
    """
    if not isinstance(headers, list):
        raise InvalidResponse(f"headers must be a list, not {type(headers).__name__}")
    fields: Fields = []
    try:
        for pair in headers:
            name, value = pair
            raw = _NAMES.get(name)
            if raw is None:
                raw = _encode_name(name)
            octets = _latin_1(value) if type(value) is str else value.encode("latin-1")
            fields.append((raw, octets))
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidResponse(
            f"{pair!r} is not a header: a pair of str that fit ISO 8859-1"
        ) from error
    return fields


def length_of(fields: Fields) -> int | None:
    """`declared_length` of encoded fields; quick for what nearly all responses have.

    Raises:
        InvalidResponse: see there.
    """
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            length = 0
            for digit in value:
                if digit < _ZERO or digit > _NINE:
                    return declared_length(fields)
                length = length * 10 + digit - _ZERO
            return length if 0 < len(value) <= _SAFE_DIGITS else declared_length(fields)
    return None


def _latin_1(text: str) -> bytes:
    return text.encode("latin-1")


def _encode_name(name: str) -> bytes:
    raw = name.encode("latin-1")
    if raw.lower() in _HOP_BY_HOP:
        raise InvalidResponse(f"{name} is about the connection and not the application's")
    return raw
