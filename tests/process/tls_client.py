"""A client over TLS, that tells what it was shown."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from tests.process.daemon import Answer, Connection

if TYPE_CHECKING:
    from tests.certificates import Authority, Issued


def context_for(
    authority: Authority, *, version: ssl.TLSVersion | None = None, cert: tuple | None = None
) -> ssl.SSLContext:
    """What trusts an authority; with `cert` it has a certificate of its own (two paths)."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if cert is not None:
        context.load_cert_chain(*cert)
    return context


class SecureConnection(Connection):
    """A keep-alive connection over TLS."""

    sock: ssl.SSLSocket

    def __init__(self, address, context, name="localhost", session=None) -> None:
        super().__init__(address)
        self._context = context
        self._name = name
        self._session = session

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(
            self.sock, server_hostname=self._name, session=self._session
        )

    def shows(self, issued: Issued) -> bool:
        """The daemon has shown this certificate."""
        return ssl.DER_cert_to_PEM_cert(self.sock.getpeercert(binary_form=True)).encode() == (
            issued.pem
        )


def fetch(address, context, path="/", **how) -> Answer:
    """One request on a connection of its own."""
    connection = SecureConnection(address, context, **how)
    try:
        return connection.ask(path)
    finally:
        connection.close()


def resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None):
    """Whether a handshake resumed, and the session to do so with."""
    with (
        socket.create_connection(("127.0.0.1", port), 30) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in secured.recv(65536)
        return secured.session_reused, secured.session
