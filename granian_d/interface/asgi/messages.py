"""What an application puts into its messages, made into what an Exchange takes.

Types are judged here, values by the engine. Nothing is converted that the specification does not
call a byte string; what merely looks like one (bytearray, memoryview) is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granian_d.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from granian_d.http.message import Fields


def look_up(message: Mapping[str, Any], key: str, default: Any) -> Any:
    """What a message says of `key`. Nearly every message is a plain dict."""
    if type(message) is dict:
        plain = message
        return plain.get(key, default)
    return message.get(key, default)


def as_status(message: Mapping[str, Any]) -> int:
    """The status of an http.response.start."""
    status = look_up(message, "status", None)
    if not isinstance(status, int):
        raise InvalidResponse(f"status must be an int, not {type(status).__name__}")
    return int(status)


def as_fields(headers: Any) -> Fields:
    """Header pairs, from any iterable of pairs of byte strings, as a list of our own."""
    fields: Fields = []
    try:
        for pair in headers:
            if type(pair) is tuple and _is_field(pair):
                fields.append(pair)
            else:
                name, value = pair
                fields.append((as_bytes(name, "a header name"), as_bytes(value, "a header value")))
    except (TypeError, ValueError) as error:
        raise InvalidResponse("headers must be an iterable of (name, value) pairs") from error
    return fields


def _is_field(pair: tuple[Any, ...]) -> bool:
    return len(pair) == 2 and type(pair[0]) is bytes and type(pair[1]) is bytes


def as_bytes(value: Any, what: str) -> bytes:
    """`value` as bytes, when it is a byte string."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise InvalidResponse(f"{what} must be bytes, not {type(value).__name__}")


def as_text(value: Any, what: str) -> str:
    """`value` as str."""
    if isinstance(value, str):
        return str(value)
    raise InvalidResponse(f"{what} must be str, not {type(value).__name__}")
