"""Session tickets (RFC 8446 4.6.1) that every worker can open, without a memory of its own.

A ticket is what a server must know to resume a session, sealed: whoever has the key of the tickets
has it, too. Its nonce is random: 2**32 tickets may be sealed with one key (NIST SP 800-38D 8.3).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from aioquic import tls
from aioquic.quic.connection import MAX_EARLY_DATA
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from granian_d.engine.datagrams import Credentials

LONGEST_S: Final = 7 * 24 * 3600  # RFC 8446 4.6.1
# How far the age that a client tells may be from the one we see, for 0-RTT: what was recorded is of
# no use for longer (RFC 8446 8.3).
SKEW_S: Final = 10.0

_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
# issued (ms since 1970), age_add, cipher suite, early?, then the limits that were promised
_FACTS: Final = struct.Struct("!QIHB6Q")


class Promise(NamedTuple):
    """Limits that early data counts on: they may grow, and must not shrink.

    RFC 9000 7.4.1; of HTTP/3's settings RFC 9114 7.2.4.2.

    Attributes:
        data: on the connection, in bytes.
        stream_data: on one stream, in bytes.
        streams: bidirectional ones.
        uni_streams: unidirectional ones.
        fields: SETTINGS_MAX_FIELD_SECTION_SIZE.
        conversations: SETTINGS_ENABLE_CONNECT_PROTOCOL.
    """

    data: int
    stream_data: int
    streams: int
    uni_streams: int
    fields: int
    conversations: int

    def covers(self, other: Promise) -> bool:
        """Whether none of them is smaller than the other's."""
        return all(ours >= theirs for ours, theirs in zip(self, other, strict=True))


_NOTHING: Final = Promise(0, 0, 0, 0, 0, 0)


class Tickets:
    """Seals tickets, and opens them.

    Args:
        credentials: with the key; b"" for no tickets.
        promise: our limits; None: 0-RTT is not taken.

    Attributes:
        lifetime_s: of a ticket; 0: there are none.
        promise: as given.
    """

    __slots__ = ("_aead", "lifetime_s", "promise")

    def __init__(self, credentials: Credentials, promise: Promise | None) -> None:
        keys = credentials.ticket_keys
        self.lifetime_s = int(min(credentials.ticket_lifetime_s, LONGEST_S)) if keys else 0
        self.promise = promise
        key = hashlib.blake2b(keys, person=b"quic tickets", digest_size=32).digest()
        self._aead = AESGCM(key)

    def seal(self, ticket: tls.SessionTicket, alpn: str) -> bytes:
        """The octets that a client is given for a session; its `ticket` field is not looked at."""
        issued = round(ticket.not_valid_before.timestamp() * 1000)
        facts = _FACTS.pack(
            issued,
            ticket.age_add,
            ticket.cipher_suite,
            self.promise is not None,
            *(self.promise or _NOTHING),
        )
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._aead.encrypt(
            nonce, facts + ticket.resumption_secret, _bound(ticket.server_name, alpn)
        )
        return _FORMAT + nonce + sealed

    def open(
        self, octets: bytes, server_name: str, alpn: str, *, early_age: int | None
    ) -> tls.SessionTicket | None:
        """The session of a ticket.

        Args:
            octets: that a client shows.
            server_name: that it asks for now.
            alpn: what it speaks now.
            early_age: the obfuscated age that it tells, if it sends early data; None if not.

        Returns:
            None if there is none: not ours, too old, of another name, or not good for the early
            data that comes with it (then there is a full handshake, which takes none).
        """
        if not self.lifetime_s or octets[:1] != _FORMAT:
            return None
        nonce, sealed = octets[1 : 1 + _NONCE_BYTES], octets[1 + _NONCE_BYTES :]
        try:
            plain = self._aead.decrypt(nonce, sealed, _bound(server_name, alpn))
            issued, age_add, suite, early, *limits = _FACTS.unpack_from(plain)
            cipher_suite = tls.CipherSuite(suite)
        except (InvalidTag, struct.error, ValueError):
            return None
        since = dt.datetime.fromtimestamp(issued / 1000, dt.UTC)
        if early_age is not None:
            promise = Promise(*limits)
            if not early or self.promise is None or not self.promise.covers(promise):
                return None
            told_s = (early_age - age_add) % (1 << 32) / 1000
            if abs((tls.utcnow() - since).total_seconds() - told_s) > SKEW_S:
                return None
        return tls.SessionTicket(
            age_add=age_add,
            cipher_suite=cipher_suite,
            not_valid_after=since + dt.timedelta(seconds=self.lifetime_s),
            not_valid_before=since,
            resumption_secret=plain[_FACTS.size :],
            server_name=server_name,
            ticket=octets,
            max_early_data_size=MAX_EARLY_DATA if early else None,
        )


def _bound(server_name: str, alpn: str) -> bytes:
    """What a session belongs to (RFC 8446 4.2.10, 4.2.11)."""
    return f"{alpn} {server_name}".encode()
