"""Connection ids (RFC 9000 5.1): which worker's a packet is can be read off its destination.

    R  4 octets  random
    M  4 octets  a mark (11 bits), the seat (13), the generation (low 8 bits), all XOR mix(R)
    T  4 octets  random

mix(R) = (R * factor + term) mod 2**32 is what a classic BPF program can compute, too, so the kernel
gives each packet to the socket of its worker (transport.steering). The words come from the daemon's
QUIC key: who does not have it can neither read an id nor tell two of one worker from any others
(RFC 9000 9.5). That a client's own choice looks like an id of ours happens once in 2048 times, if
it is as long at all: then the connection begins at that seat, which is as good as any.

Rules of this file: the standard library only, no state; the master reads it, too.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final, NamedTuple

ID_BYTES: Final = 12
KEY_BYTES: Final = 32
RESET_TOKEN_BYTES: Final = 16  # RFC 9000 10.3
SEAT_BITS: Final = 13
GENERATION_BITS: Final = 8
MARK_BITS: Final = 32 - SEAT_BITS - GENERATION_BITS
MOST_SEATS: Final = 1 << SEAT_BITS

_WORD: Final = 0xFFFFFFFF
_SEAT_MASK: Final = MOST_SEATS - 1
_GENERATION_MASK: Final = (1 << GENERATION_BITS) - 1


class Words(NamedTuple):
    """What an id is made with.

    Attributes:
        factor: odd.
        term: of 32 bits.
        mark: of MARK_BITS.
    """

    factor: int
    term: int
    mark: int


class Owner(NamedTuple):
    """Whose an id is.

    Attributes:
        seat: of the worker.
        generation: the low bits of its number.
    """

    seat: int
    generation: int


def derive(key: bytes, purpose: str, size: int) -> bytes:
    """A key of its own for a purpose, of `size` octets (32 at most), from the daemon's QUIC key."""
    return hashlib.blake2s(purpose.encode(), key=key, digest_size=size).digest()


def words_of(key: bytes) -> Words:
    """The words that go with a QUIC key of KEY_BYTES."""
    octets = derive(key, "connection ids", 12)
    factor, term, mark = (int.from_bytes(octets[at : at + 4]) for at in (0, 4, 8))
    return Words(factor | 1, term, mark & ((1 << MARK_BITS) - 1))


def issue(words: Words, seat: int, generation: int) -> bytes:
    """A new id of ID_BYTES for a worker."""
    octets = os.urandom(8)
    marked = (words.mark << SEAT_BITS | seat) << GENERATION_BITS | generation & _GENERATION_MASK
    return octets[:4] + (marked ^ _mix(words, octets)).to_bytes(4) + octets[4:]


def owner_of(words: Words, connection_id: bytes) -> Owner | None:
    """Whose that id is; None if it is not one of ours."""
    if len(connection_id) != ID_BYTES:
        return None
    marked = int.from_bytes(connection_id[4:8]) ^ _mix(words, connection_id)
    if marked >> (SEAT_BITS + GENERATION_BITS) != words.mark:
        return None
    return Owner(marked >> GENERATION_BITS & _SEAT_MASK, marked & _GENERATION_MASK)


def reset_token(key: bytes, connection_id: bytes) -> bytes:
    """The token that ends a connection whose state is lost (RFC 9000 10.3.2), of 16 octets.

    Args:
        key: derived for this purpose alone; see `derive`.
        connection_id: that the peer sends to.
    """
    return hashlib.blake2s(connection_id, key=key, digest_size=RESET_TOKEN_BYTES).digest()


def mailbox(key: bytes, seat: int) -> bytes:
    """The abstract address of the unix socket at which a worker is given what others have read.

    Everybody on the machine can see the name and write there: what comes must prove the key.
    """
    return b"\0granian-d." + derive(key, "mailboxes", 8).hex().encode() + b".%d" % seat


def _mix(words: Words, octets: bytes) -> int:
    """What hides the second word, from the first one."""
    return (int.from_bytes(octets[:4]) * words.factor + words.term) & _WORD
