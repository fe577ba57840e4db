"""Heads of messages, as every floor above and below sees them.

Rules of this file: plain records, no behaviour beyond what their fields imply. Field names are
lower-case bytes, values are stripped of optional white space (RFC 9110 5.5), order and duplicates
are kept as received.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

Fields = list[tuple[bytes, bytes]]
FieldPairs = Iterable[tuple[bytes, bytes]]
HttpVersion = Literal["1.0", "1.1", "2", "3"]


class TlsFacts:
    """What a TLS handshake came to.

    Attributes:
        version: of the protocol on the wire: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3.
        cipher: number of the cipher suite (IANA), 0 when unknown.
        cipher_name: as OpenSSL calls it.
        server_name: that the client asked for (SNI), "" if none.
        server_certificate: ours, PEM.
        client_chain: certificates of the client, PEM, its own first; empty if it showed none.
        client_name: subject of the client's certificate as RFC 4514 writes it, "" if none.
    """

    __slots__ = (
        "cipher",
        "cipher_name",
        "client_chain",
        "client_name",
        "server_certificate",
        "server_name",
        "version",
    )

    def __init__(
        self,
        version: int,
        cipher: int,
        cipher_name: str,
        server_name: str,
        server_certificate: str,
        client_chain: tuple[str, ...],
        client_name: str,
    ) -> None:
        self.version = version
        self.cipher = cipher
        self.cipher_name = cipher_name
        self.server_name = server_name
        self.server_certificate = server_certificate
        self.client_chain = client_chain
        self.client_name = client_name


class Peer:
    """The two ends of one connection, as the socket or a proxy tells them.

    Attributes:
        client: (address, port) of the peer; None on a unix socket.
        server: (address, port) of our end; (path, None) on a unix socket.
        scheme: "http" or "https".
        tls: what is known of the TLS connection; None on a plain one.
        prepared: what an interface has made of them, for every request of the connection.
        forwarded: what the last fields of a proxy came to: they, and whom they name.
    """

    __slots__ = ("client", "forwarded", "prepared", "scheme", "server", "tls")

    def __init__(
        self,
        client: tuple[str, int] | None,
        server: tuple[str, int | None] | None,
        scheme: str = "http",
        tls: TlsFacts | None = None,
    ) -> None:
        self.client = client
        self.server = server
        self.scheme = scheme
        self.tls = tls
        self.prepared: Any = None
        self.forwarded: tuple[Fields, Peer | None] | None = None


class RequestHead:
    """A request line with its header section, judged and well-formed.

    Attributes:
        method: the method as sent, case kept.
        raw_path: path of the target, percent-encoded (b"*" for asterisk-form, b"" for CONNECT).
        query: what follows the first "?", without it.
        authority: Host field, authority of an absolute-form target or `:authority`; b"" if none.
        version: "1.0", "1.1", "2" or "3".
        fields: header section (lower-case name, value).
        content_length: of the body; None when it is chunked (or ended by the stream).
        expects_continue: the client waits for a 100 before it sends the body (RFC 9110 10.1.1).
        protocol: another one that is asked for and that the engine can speak, "websocket" (by
            Upgrade, or by :protocol of an extended CONNECT); "" for all others.
    """

    __slots__ = (
        "authority",
        "content_length",
        "expects_continue",
        "fields",
        "method",
        "protocol",
        "query",
        "raw_path",
        "version",
    )

    def __init__(
        self,
        method: str,
        raw_path: bytes,
        query: bytes,
        authority: bytes,
        version: HttpVersion,
        fields: Fields,
        content_length: int | None,
        expects_continue: bool,
        protocol: str = "",
    ) -> None:
        self.method = method
        self.raw_path = raw_path
        self.query = query
        self.authority = authority
        self.version = version
        self.fields = fields
        self.content_length = content_length
        self.expects_continue = expects_continue
        self.protocol = protocol
