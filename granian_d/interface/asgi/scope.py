"""The scopes of HTTP requests and WebSocket sessions (ASGI HTTP and WebSocket 2.5).

Every scope is made of parts of its own: an application may change what it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from granian_d.interface.target import decode_path, fields_with_host

if TYPE_CHECKING:
    from granian_d.http.message import Peer, RequestHead, TlsFacts

Scope = dict[str, Any]

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.5"}

# What `Conversation` understands beyond the plain response, and `Dialogue` beyond a refusal.
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.trailers": {},
    "http.response.zerocopysend": {},
}

_OF_SESSIONS: Final[dict[str, dict[str, Any]]] = {"websocket.http.response": {}}

_TEMPLATE: Final[Scope] = {
    "type": "http",
    **dict.fromkeys(
        (
            *("asgi", "http_version", "server", "client", "scheme", "method", "root_path"),
            *("path", "raw_path", "query_string", "headers", "state", "extensions"),
        )
    ),
}

_SCHEMES: Final = {"http": "ws", "https": "wss"}


def http_scope(head: RequestHead, peer: Peer, root_path: str, state: dict[str, Any]) -> Scope:
    """The scope of one request; `state` is copied, shallowly, as the lifespan protocol wants."""
    # A copy of the right size, filled, is made faster than filled anew.
    template: Scope | None = peer.prepared
    if template is None:
        template = peer.prepared = _prepare(peer, root_path)
    scope = template.copy()
    _fill(scope, head, state)
    scope["method"] = head.method
    _extend(scope, _EXTENSIONS)
    return scope


def session_scope(
    head: RequestHead,
    peer: Peer,
    subprotocols: tuple[str, ...],
    root_path: str,
    state: dict[str, Any],
) -> Scope:
    """The scope of one session, which is a connection's only one in HTTP/1: nothing is kept."""
    scope = _prepare(peer, root_path)
    del scope["method"]
    _fill(scope, head, state)
    scope["type"] = "websocket"
    scope["scheme"] = _SCHEMES[peer.scheme]
    scope["subprotocols"] = list(subprotocols)
    _extend(scope, _OF_SESSIONS)
    return scope


def _fill(scope: Scope, head: RequestHead, state: dict[str, Any]) -> None:
    """What a request says, whatever it asks for."""
    scope["asgi"] = _VERSIONS.copy()
    scope["http_version"] = head.version
    scope["path"] = decode_path(head.raw_path)
    scope["raw_path"] = head.raw_path
    scope["query_string"] = head.query
    scope["headers"] = fields_with_host(head)
    scope["state"] = state.copy()


def _extend(scope: Scope, extensions: dict[str, dict[str, Any]]) -> None:
    """Put the extensions in; what is there already is that of TLS, of the template."""
    tls = scope["extensions"]
    scope["extensions"] = extensions.copy()
    if tls is not None:
        scope["extensions"]["tls"] = tls.copy()


def _prepare(peer: Peer, root_path: str) -> Scope:
    """What the scopes of one connection have in common."""
    ends = {"server": peer.server, "client": peer.client, "scheme": peer.scheme}
    tls = None if peer.tls is None else _tls(peer.tls)  # see _extend
    return {**_TEMPLATE, **ends, "root_path": root_path, "extensions": tls}


def _tls(facts: TlsFacts) -> dict[str, Any]:
    """The extension "tls" (0.2). A client whose certificate is bad never gets as far as this."""
    return {
        "server_cert": facts.server_certificate,
        "client_cert_chain": facts.client_chain,
        "client_cert_name": facts.client_name or None,
        "client_cert_error": None,
        "tls_version": facts.version or None,
        "cipher_suite": facts.cipher or None,
    }
