"""Tokens of Retry packets (RFC 9000 8.1.2): proof that a peer receives what is sent to its address.

Sealed, so that no worker remembers them and all can open them: the key comes from the daemon's QUIC
key, and the time is CLOCK_MONOTONIC, which all processes of a machine share. A token is bound to
the address it was sent to and to the connection id that the peer must use with it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from granian_d.engine.connection_ids import derive

if TYPE_CHECKING:
    from granian_d.engine.datagrams import Path

LIFETIME_S: Final = 30.0  # clients return it at once (RFC 9000 8.1.3)
_NONCE_BYTES: Final = 12
_TIME_BYTES: Final = 8


class Tokens:
    """Seals tokens, and opens them.

    Args:
        key: the daemon's QUIC key.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(derive(key, "retry tokens", 32))

    def seal(self, path: Path, original_id: bytes, next_id: bytes, now: float) -> bytes:
        """A token.

        Args:
            path: whose peer is to prove its address.
            original_id: that its first packet was sent to.
            next_id: that it is told to send to.
            now: CLOCK_MONOTONIC, in seconds.
        """
        nonce = os.urandom(_NONCE_BYTES)
        plain = round(now * 1000).to_bytes(_TIME_BYTES, "big") + original_id
        return nonce + self._aead.encrypt(nonce, plain, _bound(path, next_id))

    def open(self, path: Path, next_id: bytes, token: bytes, now: float) -> bytes | None:
        """The original id, if the token is good here and now; else None."""
        nonce, sealed = token[:_NONCE_BYTES], token[_NONCE_BYTES:]
        try:
            plain = self._aead.decrypt(nonce, sealed, _bound(path, next_id))
        except (InvalidTag, ValueError):  # the latter: a nonce that is too short
            return None
        age_s = now - int.from_bytes(plain[:_TIME_BYTES], "big") / 1000
        return plain[_TIME_BYTES:] if age_s <= LIFETIME_S else None


def _bound(path: Path, next_id: bytes) -> bytes:
    host, port, *_ = path.peer
    return b"%s %d " % (host.encode(), port) + next_id
