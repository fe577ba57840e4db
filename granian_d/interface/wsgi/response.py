"""What `start_response` is given, made into what an Exchange takes.

Form and types are judged here, as PEP 3333 demands them; values by the engine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import InvalidResponse

if TYPE_CHECKING:
    from granian_d.http.message import Fields

_STATUS: Final = re.compile(r"([0-9]{3}) .*")

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
    for pair in headers:
        try:
            name, value = pair
            field = (name.encode("latin-1"), value.encode("latin-1"))
        except (AttributeError, TypeError, ValueError) as error:
            raise InvalidResponse(
                f"{pair!r} is not a header: a pair of str that fit ISO 8859-1"
            ) from error
        if field[0].lower() in _HOP_BY_HOP:
            raise InvalidResponse(f"{name} is about the connection and not the application's")
        fields.append(field)
    return fields
