"""Points in time as fields have them (RFC 9110 5.6.7)."""

from __future__ import annotations

import re
from calendar import timegm
from functools import lru_cache
from time import gmtime
from typing import Final

from granian_d.http.semantics import imf_fixdate

_MONTHS: Final = (
    *(b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun"),
    *(b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
)
_MONTH: Final = b"(?P<month>" + b"|".join(_MONTHS) + b")"
_TIME: Final = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"

# All three must be understood, the last two only from very old clients. Which day of the week it
# was is not looked at: the date says it.
_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        rb"[A-Z][a-z]{2}, (?P<day>\d\d) " + _MONTH + rb" (?P<year>\d{4}) " + _TIME + b" GMT",
        rb"[A-Z][a-z]{5,8}, (?P<day>\d\d)-" + _MONTH + rb"-(?P<year>\d\d) " + _TIME + b" GMT",
        rb"[A-Z][a-z]{2} " + _MONTH + rb" (?P<day>[ \d]\d) " + _TIME + rb" (?P<year>\d{4})",
    )
)

# Not by way of the cache there, which holds the one date of now.
written: Final = lru_cache(maxsize=256)(imf_fixdate.__wrapped__)


def read(value: bytes) -> int | None:
    """The Unix time that a value names, in seconds; None if it names none."""
    for form in _FORMS:
        match = form.fullmatch(value)
        if match is not None:
            return _time(**match.groupdict())
    return None


def _time(
    *, year: bytes, month: bytes, day: bytes, hour: bytes, minute: bytes, second: bytes
) -> int | None:
    full = int(year) if len(year) == 4 else _century(int(year))
    rest = (int(day), int(hour), int(minute), int(second))
    # 60 is a leap second.
    if full < 1 or not (1 <= rest[0] <= 31 and rest[1] < 24 and rest[2] < 60 and rest[3] <= 60):
        return None
    return timegm((full, _MONTHS.index(month) + 1, *rest))


def _century(year: int) -> int:
    """Of two digits: not more than 50 years ahead."""
    now = gmtime().tm_year
    full = now - now % 100 + year
    return full - 100 if full > now + 50 else full
