"""The handshake of TLS 1.3 (RFC 9001), as a server wants it: SNI, and tickets without a memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from aioquic import tls
from aioquic.quic.connection import MAX_EARLY_DATA

from granian_d.http.message import TlsFacts

if TYPE_CHECKING:
    from aioquic._buffer import Buffer

    from granian_d.engine.pure.quic.certificates import Pair
    from granian_d.engine.pure.quic.tickets import Tickets
    from granian_d.engine.server_names import ServerNames

ALPN: Final = "h3"
# Of a handshake message that is not complete; a ClientHello with keys for times after quantum
# computers has 2 KiB. aioquic would wait for 16 MiB.
MOST_MESSAGE_BYTES: Final = 32768
_TLS_1_3: Final = 0x0304


class Handshake(tls.Context):
    """One handshake, as the server.

    Args:
        names: the certificates.
        tickets: for sessions to be resumed.
    """

    def __init__(self, names: ServerNames[Pair], tickets: Tickets) -> None:
        early = None if tickets.promise is None else MAX_EARLY_DATA
        super().__init__(is_client=False, alpn_protocols=[ALPN], max_early_data=early)
        self._names = names
        self._tickets = tickets
        self._pair = names.default
        self._asked_for = ""
        self._early_age: int | None = None
        self.get_session_ticket_cb = self._resume

    def facts(self) -> TlsFacts:
        """What the handshake has come to."""
        assert self.key_schedule is not None
        suite = tls.CipherSuite(self.key_schedule.cipher_suite)
        return TlsFacts(
            version=_TLS_1_3,
            cipher=int(suite),
            cipher_name=f"TLS_{suite.name}",
            server_name=self._asked_for,
            server_certificate=self._pair.pem,
            client_chain=(),
            client_name="",
        )

    def forget(self) -> None:
        """Let go of what only the handshake needs, its secrets first."""
        self._ec_private_keys.clear()
        self._x25519_private_key = self._x448_private_key = None
        self.received_extensions = None
        self.handshake_extensions = []

    def handle_message(self, input_data: bytes, output_buf: dict[tls.Epoch, Buffer]) -> None:
        """Octets of the peer; see the library."""
        if len(self._receive_buffer) + len(input_data) > MOST_MESSAGE_BYTES:
            raise tls.AlertDecodeError("a handshake message is too long")
        super().handle_message(input_data, output_buf)

    def _server_handle_hello(
        self, input_buf: Buffer, initial_buf: Buffer, handshake_buf: Buffer
    ) -> None:
        """Choose the certificate, which the library has no hook for, then go on as it does."""
        hello = tls.pull_client_hello(input_buf)
        input_buf.seek(0)
        name = self._asked_for = hello.server_name or ""
        self._server_name = name.lower().removesuffix(".")  # what tickets are bound to
        pair = self._pair = self._names.pick(name)
        self.certificate = pair.certificate
        self.certificate_chain = pair.chain
        self.certificate_private_key = pair.key
        offered = hello.pre_shared_key
        if hello.early_data and offered is not None and offered.identities:
            self._early_age = offered.identities[0][1]
        super()._server_handle_hello(input_buf, initial_buf, handshake_buf)

    def _resume(self, octets: bytes) -> tls.SessionTicket | None:
        name = self._server_name or ""
        return self._tickets.open(octets, name, ALPN, early_age=self._early_age)

    def _server_handle_finished(self, input_buf: Buffer, output_buf: Buffer) -> None:
        """Give a ticket once the handshake is complete: before, no 1-RTT packet is acknowledged."""
        super()._server_handle_finished(input_buf, output_buf)
        if not self._tickets.lifetime_s or self._psk_key_exchange_mode is None:
            return
        told = tls.NewSessionTicket(
            ticket_lifetime=self._tickets.lifetime_s,
            ticket_age_add=int.from_bytes(os.urandom(4), "big"),
            ticket_nonce=b"",  # there is one ticket in a connection
            max_early_data_size=self._max_early_data,
        )
        no_extensions: list[Any] = []
        told.ticket = self._tickets.seal(self._build_session_ticket(told, no_extensions), ALPN)
        tls.push_new_session_ticket(output_buf, told)
