"""Which content codings a client takes (RFC 9110 12.5.3), and the files that have them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

IDENTITY: Final = b""

# Coding to the end of the file's name, what is mostly smaller first: among those that a client
# likes equally the first is taken.
SUFFIXES: Final = {b"br": b".br", b"zstd": b".zst", b"gzip": b".gz"}

_MEMBER: Final = re.compile(
    rb"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    rb"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)
_LONGEST: Final = 256  # of a field that is heeded: far beyond what any client sends


def acceptable(value: bytes | None) -> tuple[bytes, ...]:
    """Codings to try, the most welcome first; IDENTITY is the file as it is.

    Args:
        value: of the field Accept-Encoding, None if there is none.
    """
    if value is None or len(value) > _LONGEST:
        return (IDENTITY,)
    return _acceptable(value)


@lru_cache(maxsize=64)
def _acceptable(value: bytes) -> tuple[bytes, ...]:
    weights: dict[bytes, float] = {}
    for member in value.lower().split(b","):
        match = _MEMBER.fullmatch(member)
        if match is not None:
            coding = b"gzip" if match[1] == b"x-gzip" else match[1]  # RFC 9110 8.4.1.3
            weights[coding] = float(match[2] or b"1")
    others = weights.get(b"*", 0.0)
    liked = [(weights.get(coding, others), coding) for coding in SUFFIXES]
    # What is not named is acceptable as it is, after all that is named.
    plain = weights.get(b"identity", weights.get(b"*", 0.0005))
    liked.append((plain, IDENTITY))
    liked.sort(key=lambda entry: -entry[0])
    return tuple(coding for weight, coding in liked if weight)
