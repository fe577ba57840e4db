"""Wrappers that have an application see whom a proxy asks for, under Granian's names and rules.

They read X-Forwarded-For and X-Forwarded-Proto as Granian does, which is not how the daemon itself
reads them (http.forwarded, the option `forwarded_allow_ips`, to be preferred): literal host names
can be trusted, nothing is bounded, the port is 0, and a scheme counts only together with a client.
"""

from __future__ import annotations

from functools import wraps
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
_WSGI_SCHEMES: Final = frozenset({"http", "https"})


def wrap_asgi_with_proxy_headers(
    app: Callable[..., Any], trusted_hosts: list[str] | str = "127.0.0.1"
) -> Callable[..., Any]:
    """An ASGI application for which `client` and `scheme` are those that a trusted proxy tells.

    Args:
        app: the application.
        trusted_hosts: addresses, networks and names, or one text of them with commas; "*" trusts
            everybody.
    """
    trusted = _Trusted(trusted_hosts)

    @wraps(app)
    def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> Any:
        peer = scope.get("client") if scope["type"] != "lifespan" else None
        if scope["type"] != "lifespan" and (peer[0] if peer else None) in trusted:
            clients, proto = _read(scope["headers"])
            if clients and (client := trusted.client(", ".join(clients))):
                scope["client"] = (client, 0)
                if proto in _SCHEMES:
                    socket = scope["type"] == "websocket"
                    scope["scheme"] = proto.replace("http", "ws") if socket else proto
        return app(scope, receive, send)

    return wrapped


def wrap_wsgi_with_proxy_headers(
    app: Callable[..., Any], trusted_hosts: list[str] | str = "127.0.0.1"
) -> Callable[..., Any]:
    """The same of a WSGI application, for REMOTE_ADDR and wsgi.url_scheme."""
    trusted = _Trusted(trusted_hosts)

    @wraps(app)
    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        clients = environ.get("HTTP_X_FORWARDED_FOR")
        if (
            clients
            and environ.get("REMOTE_ADDR") in trusted
            and (client := trusted.client(clients))
        ):
            environ["REMOTE_ADDR"] = client
            if (proto := environ.get("HTTP_X_FORWARDED_PROTO")) in _WSGI_SCHEMES:
                environ["wsgi.url_scheme"] = proto
        return app(environ, start_response)

    return wrapped


class _Trusted:
    """Whom one believes."""

    def __init__(self, hosts: list[str] | str) -> None:
        self._everybody = hosts in ("*", ["*"])
        self._networks: list[IPv4Network | IPv6Network] = []
        self._addresses: set[IPv4Address | IPv6Address] = set()
        self._names: set[str] = set()
        for host in _split(hosts) if isinstance(hosts, str) else hosts:
            try:
                if "/" in host:
                    self._networks.append(ip_network(host))
                else:
                    self._addresses.add(ip_address(host))
            except ValueError:
                self._names.add(host)

    def __contains__(self, host: str | None) -> bool:
        if self._everybody:
            return True
        if not host:
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return host in self._names
        return address in self._addresses or any(address in network for network in self._networks)

    def client(self, forwarded: str) -> str:
        """The right-most host that is not trusted; else the left-most."""
        hosts = _split(forwarded)
        if self._everybody:
            return hosts[0]
        return next((host for host in reversed(hosts) if host not in self), hosts[0])


def _read(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], str]:
    """The values of X-Forwarded-For, and the first of X-Forwarded-Proto, but for empty ones."""
    found: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"x-forwarded-proto": []}
    for name, value in headers:
        if name in found and (text := value.decode("latin-1").strip()):
            found[name].append(text)
    clients, protos = found.values()
    return clients, protos[0] if protos else ""


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]
