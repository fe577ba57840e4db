"""The scope of an RSGI request, or session. Its attributes are made when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.interface.rsgi.headers import Headers
from granian_d.interface.target import decode_path

if TYPE_CHECKING:
    from granian_d.http.message import Peer, RequestHead, TlsFacts

VERSION: Final = "1.6"

_VERSIONS: Final = {"1.0": "1", "1.1": "1.1", "2": "2", "3": "3"}
_WITH_AUTHORITY: Final = frozenset(("2", "3"))


class Scope:
    """What a request says of itself. Read-only."""

    __slots__ = ("_head", "_headers", "_peer", "_proto")

    def __init__(self, head: RequestHead, peer: Peer, proto: str = "http") -> None:
        self._head = head
        self._peer = peer
        self._proto = proto
        self._headers: Headers | None = None

    @property
    def proto(self) -> str:
        """`http` or `ws`."""
        return self._proto

    @property
    def rsgi_version(self) -> str:
        """The version of RSGI that is spoken."""
        return VERSION

    @property
    def http_version(self) -> str:
        """`1` (that is 1.0), `1.1`, `2` or `3`."""
        return _VERSIONS[self._head.version]

    @property
    def server(self) -> str:
        """Our end, `address:port`; the path of a unix socket."""
        server = self._peer.server
        return _end(server[0], server[1]) if server is not None else ""

    @property
    def client(self) -> str:
        """The peer's end, `address:port`; empty on a unix socket."""
        client = self._peer.client
        return _end(client[0], client[1]) if client is not None else ""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._peer.scheme

    @property
    def tls(self) -> TlsFacts | None:
        """What the handshake came to; None without TLS. Not of RSGI: granian-d's own."""
        return self._peer.tls

    @property
    def method(self) -> str:
        """The method, as sent; GET for a session, however the wire asks for one (RFC 8441 4)."""
        return self._head.method if self._proto == "http" else "GET"

    @property
    def path(self) -> str:
        """The path, decoded; what is not UTF-8 in it shows as U+FFFD."""
        return decode_path(self._head.raw_path)

    @property
    def query_string(self) -> str:
        """The query as it was sent, without the question mark."""
        return self._head.query.decode("utf-8", "replace")

    @property
    def headers(self) -> Headers:
        """The request's fields."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(self._head.fields)
        return headers

    @property
    def authority(self) -> str | None:
        """The `:authority` of HTTP/2 and later; None before, where Host is among the headers."""
        head = self._head
        if head.version not in _WITH_AUTHORITY or not head.authority:
            return None
        return head.authority.decode("latin-1")


def _end(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
