"""What is asked for and what must come back, as functions of a request's number.

Imported by the clients and, as a file beside it, by the application: neither can be wrong in a way
that the other repeats by chance, because every number has a body of its own.
"""

from __future__ import annotations

import hashlib
import random

FILL = random.Random(1).randbytes(1 << 16)  # nothing that compresses or repeats
TWICE = FILL + FILL
LARGE_BYTES = 1 << 20
UPLOAD_BYTES = 192 << 10
PIECE_BYTES = 1 << 14


def small(number: int) -> bytes:
    """32 to 1055 octets."""
    at = number * 7919 % len(FILL)
    return TWICE[at : at + 32 + number % 1024]


def pieces(number: int, size: int):
    """`size` octets, in pieces; each number has others, and no piece is another's."""
    for begin in range(0, size, PIECE_BYTES):
        at = (number * 7919 + begin * 31) % len(FILL)
        yield TWICE[at : at + min(PIECE_BYTES, size - begin)]


def digest(number: int, size: int) -> str:
    """What hashing all of `pieces` gives."""
    summed = hashlib.blake2b(digest_size=16)
    for piece in pieces(number, size):
        summed.update(piece)
    return summed.hexdigest()
