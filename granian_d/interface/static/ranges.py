"""The parts of a file that a client asks for (RFC 9110 14)."""

from __future__ import annotations

import re
from typing import Final

# More than a reader of one page of a long document asks for. Many small ones cost more than the
# file (RFC 9110 17.15).
MOST: Final = 16
_DIGITS: Final = 18  # the greatest length that every part of every system can count

_ONE: Final = re.compile(rb"(\d{0,%d})-(\d{0,%d})" % (_DIGITS, _DIGITS))
_OWS: Final = b" \t"

Span = tuple[int, int]  # from the first octet to the one behind the last


def select(value: bytes, size_bytes: int) -> list[Span] | None:
    """The parts that the field Range asks for, in its order.

    Returns:
        None where the field is not heeded and all of the file is the answer (RFC 9110 14.2):
        another unit, a malformed one, more than MOST, more octets together than the file has.
        [] where it has none of them (416).
    """
    unit, _, listed = value.partition(b"=")
    if unit.lower() != b"bytes":
        return None
    members = [member.strip(_OWS) for member in listed.split(b",", 2 * MOST)]
    members = [member for member in members if member]  # RFC 9110 5.6.1.2
    if not 0 < len(members) <= MOST:
        return None
    spans = []
    for member in members:
        match = _ONE.fullmatch(member)
        if match is None or not (match[1] or match[2]):
            return None
        if match[1] and match[2] and int(match[1]) > int(match[2]):
            return None
        spans.append(_span(match[1], match[2], size_bytes))
    if not size_bytes and any(member[:1] == b"-" for member in members):
        return None  # satisfiable, but Content-Range has no way to say it
    spans = [(first, end) for first, end in spans if first < end]
    if sum(end - first for first, end in spans) > size_bytes:
        return None
    return spans


def _span(first: bytes, last: bytes, size_bytes: int) -> Span:
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes
