"""Field lines: their grammar, and how a section of them is read (RFC 9110 5, RFC 9112 5).

Rules of this file: bytes in, bytes out, no state. Nothing is repaired: what RFC 9112 lets a
server either mend or reject is rejected, because a mended line is one that the next reader in a
chain may have understood differently. What fields mean is not here but in framing.py (where a
message ends) and semantics.py (the rest).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from granian_d.errors import HeadTooLarge, ProtocolViolation

if TYPE_CHECKING:
    from granian_d.http.message import Fields

# RFC 9110 5.6.2, as the inside of a pattern. The underscore is a tchar: what it means that WSGI
# and CGI cannot tell `x_a` from `x-a` is the business of those interfaces.
TOKEN_PATTERN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
TOKEN: Final = re.compile(TOKEN_PATTERN)

# RFC 9110 5.5: a value is VCHAR, obs-text, SP and HTAB. The RFC demands action on CR, LF and NUL
# only; the other controls are outside its grammar too, and no honest client sends them.
FORBIDDEN_IN_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

OWS: Final = b" \t"  # RFC 9110 5.6.3


def parse_section(section: bytes, most: int) -> Fields:
    """The fields of a header or trailer section, names in lower case, values stripped of OWS.

    Args:
        section: field lines, each with its CRLF; the empty line that ends the section is not
            part of it.
        most: how many lines are acceptable.

    Raises:
        ProtocolViolation: a line is not a field line.
        HeadTooLarge: there are too many of them.
    """
    lines = section.split(b"\r\n")
    if lines.pop():
        raise ProtocolViolation("a field line without its end", "RFC 9112 2.1")
    if len(lines) > most:
        raise HeadTooLarge("too many fields", "RFC 6585 5")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or TOKEN.fullmatch(name) is None:
            raise _malformed(line)
        if FORBIDDEN_IN_VALUE.search(value):
            raise ProtocolViolation("a control character in a field value", "RFC 9110 5.5")
        fields.append((name.lower(), value.strip(OWS)))
    return fields


def values(fields: Fields, name: bytes) -> list[bytes]:
    """The values of all lines called `name` (in lower case), in order."""
    return [value for key, value in fields if key == name]


def members(fields: Fields, name: bytes) -> list[bytes]:
    """The members of the comma-separated list `name`, in lower case, over all of its lines.

    Empty members are dropped (RFC 9110 5.6.1.2). Only for lists of plain tokens: a comma within
    a quoted string is not understood.
    """
    found = values(fields, name)
    if not found:
        return found
    stripped = (member.strip(OWS) for member in b",".join(found).lower().split(b","))
    return [member for member in stripped if member]


def _malformed(line: bytes) -> ProtocolViolation:
    """Say what is wrong with a line that is no field line."""
    if line[:1] in (b" ", b"\t"):
        # RFC 9112 2.2 (before the first field) and 5.2 (obs-fold) allow the rejection.
        return ProtocolViolation("a line that begins with white space", "RFC 9112 5.2")
    name, colon, _ = line.partition(b":")
    if not colon:
        return ProtocolViolation("a field line without a colon", "RFC 9112 5")
    if not name:
        return ProtocolViolation("a field without a name", "RFC 9112 5")
    if name[-1:] in (b" ", b"\t"):
        return ProtocolViolation("white space between field name and colon", "RFC 9112 5.1")
    return ProtocolViolation("a field name that is not a token", "RFC 9110 5.1")
