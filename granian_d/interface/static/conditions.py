"""Whether what a client has is still good: validators, and the conditions upon them (RFC 9110 13).

Rules of this file: pure functions. What a condition is not well-formed says is not guessed: one
that guards against a wrong answer then fails, one that saves an answer then does not save it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.interface.static import dates

if TYPE_CHECKING:
    from granian_d.http.message import Fields
    from granian_d.interface.static.mount import ServedFile

OK, NOT_MODIFIED, PRECONDITION_FAILED = 200, 304, 412

# RFC 9110 8.8.3.
_ENTITY_TAG: Final = re.compile(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')

# A file can change twice within one tick of the clock that stamps it (some file systems: 2 s), and
# so far back its time stamp tells no two versions apart (RFC 9110 8.8.1).
_FRESH_NS: Final = 2_000_000_000

# Every field of a request that decides about an answer.
ASKED: Final = frozenset(
    (
        b"accept-encoding",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    )
)

Asked = dict[bytes, bytes]


def asked(fields: Fields) -> Asked:
    """The fields of ASKED that a request has; the lines of one are joined (RFC 9110 5.3)."""
    found: Asked = {}
    for name, value in fields:
        if name in ASKED:
            found[name] = found[name] + b", " + value if name in found else value
    return found


class Validators(NamedTuple):
    """What tells two states of one representation apart.

    Attributes:
        tag: opaque, with its quotes.
        weak: two states may have the same, and the same time of modification.
        modified_s: Unix time.
    """

    tag: bytes
    weak: bool
    modified_s: int

    @property
    def etag(self) -> bytes:
        """The value of the field ETag."""
        return b"W/" + self.tag if self.weak else self.tag


def validators_of(file: ServedFile, coding: bytes, now_ns: int) -> Validators:
    """The validators of a file.

    Args:
        file: as it is.
        coding: of its content, b"" for none: each is a representation of its own.
        now_ns: Unix time.
    """
    at_ns = file.modified_ns
    tag = b'"%x-%x%s"' % (at_ns, file.size_bytes, b"-" + coding if coding else b"")
    # No later than the answer (RFC 9110 8.8.2.1), and not before 1970.
    modified_s = max(0, min(at_ns, now_ns) // 1_000_000_000)
    return Validators(tag, now_ns - at_ns < _FRESH_NS, modified_s)


def judge(asked: Asked, found: Validators) -> int:
    """What becomes of a GET or HEAD, by the order of RFC 9110 13.2.2: one of the three above."""
    if (tags := asked.get(b"if-match")) is not None:
        if not _matches(tags, found, strongly=True):
            return PRECONDITION_FAILED
    elif (value := asked.get(b"if-unmodified-since")) is not None:
        since = dates.read(value)
        if since is not None and found.modified_s > since:
            return PRECONDITION_FAILED
    if (tags := asked.get(b"if-none-match")) is not None:
        return NOT_MODIFIED if _matches(tags, found, strongly=False) else OK
    if (value := asked.get(b"if-modified-since")) is not None:
        since = dates.read(value)
        if since is not None and found.modified_s <= since:
            return NOT_MODIFIED
    return OK


def range_applies(asked: Asked, found: Validators) -> bool:
    """Whether a part of the file goes with the parts that the client has (RFC 9110 13.1.5)."""
    value = asked.get(b"if-range")
    if value is None:
        return True
    if found.weak:
        return False
    return value == found.tag or dates.read(value) == found.modified_s


def _matches(tags: bytes, found: Validators, *, strongly: bool) -> bool:
    """Compare as RFC 9110 8.8.3.2 says."""
    if tags == b"*":
        return True
    if strongly and found.weak:
        return False
    return any(
        tag == found.tag and not (weak and strongly) for weak, tag in _ENTITY_TAG.findall(tags)
    )
