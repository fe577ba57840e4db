"""Header fields as RSGI applications read and write them: text on both sides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from granian_d.http.fields import FORBIDDEN_IN_VALUE, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from granian_d.http.message import Fields

# A value with anything but visible ASCII, space and tab in it is no text (RFC 9110 5.5).
_OPAQUE: Final = re.compile(rb"[^\t\x20-\x7e]")


class Headers:
    """The fields of a request, a mapping of names to first values.

    Names are found in any case and shown in lower case. A value that is no text is not shown by
    `values`, `items` and `get_all`, is the default of `get`, and "" when asked for by its name.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def keys(self) -> list[str]:
        """The names, each once, in order."""
        return [name.decode("latin-1") for name in dict.fromkeys(name for name, _ in self._fields)]

    def values(self) -> list[str]:
        """All values that are text."""
        return [value.decode("ascii") for _, value in self._fields if _is_text(value)]

    def items(self) -> list[tuple[str, str]]:
        """All pairs whose value is text; a name with several values is in several pairs."""
        return [
            (name.decode("latin-1"), value.decode("ascii"))
            for name, value in self._fields
            if _is_text(value)
        ]

    def get(self, key: str, default: Any = None) -> Any:
        """The first value of `key`, `default` when there is none or it is no text."""
        value = self._first(key)
        return value.decode("ascii") if value is not None and _is_text(value) else default

    def get_all(self, key: str) -> list[str]:
        """All values of `key` that are text."""
        wanted = _as_name(key)
        return [
            value.decode("ascii")
            for name, value in self._fields
            if name == wanted and _is_text(value)
        ]

    def __contains__(self, key: str) -> bool:
        return self._first(key) is not None

    def __getitem__(self, key: str) -> str:
        value = self._first(key)
        if value is None:
            raise KeyError(key)
        return value.decode("ascii") if _is_text(value) else ""

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len({name for name, _ in self._fields})

    def _first(self, key: str) -> bytes | None:
        wanted = _as_name(key)
        for name, value in self._fields:
            if name == wanted:
                return value
        return None


# Names in bytes, of those that applications have used; b"" for what is no name.
_names: dict[str, bytes] = {}
_MOST_NAMES: Final = 256


def encode_headers(headers: Iterable[tuple[str, str]]) -> Fields:
    """The headers of a response in bytes. What cannot be a field is left out, as RSGI has it."""
    fields: Fields = []
    for name, value in headers:
        encoded = _names.get(name)
        if encoded is None:
            encoded = _encode_name(name)
        if not encoded:
            continue
        if type(value) is str and _is_plain(value):
            plain = value
            fields.append((encoded, plain.encode()))
        else:
            _add_odd_value(fields, encoded, value)
    return fields


def _is_plain(value: str) -> bool:
    """Whether there are only visible ASCII characters and spaces in it."""
    for character in value:  # noqa: SIM110 - C makes no generator of it
        if not " " <= character <= "~":
            return False
    return True


def _encode_name(name: str) -> bytes:
    encoded = name.encode("ascii", "replace")
    if not name.isascii() or TOKEN.fullmatch(encoded) is None:
        encoded = b""
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    _names[name] = encoded
    return encoded


def _add_odd_value(fields: Fields, name: bytes, value: str) -> None:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return
    if not FORBIDDEN_IN_VALUE.search(encoded):
        fields.append((name, encoded))


def _as_name(key: str) -> bytes:
    # A key that is not ASCII is no field name: what replaces its characters is not either.
    return key.lower().encode("ascii", "replace")


def _is_text(value: bytes) -> bool:
    return _OPAQUE.search(value) is None
