"""The HTTP connection scope (ASGI HTTP 2.5, "HTTP Connection Scope").

Every scope is made of parts of its own: an application may change what it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from granian_d.interface.target import decode_path, fields_with_host

if TYPE_CHECKING:
    from granian_d.http.message import Peer, RequestHead

Scope = dict[str, Any]

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.5"}

# What `Conversation` understands beyond the plain response.
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.trailers": {},
}


def http_scope(head: RequestHead, peer: Peer, root_path: str, state: dict[str, Any]) -> Scope:
    """The scope of one request; `state` is copied, shallowly, as the lifespan protocol wants."""
    return {
        "type": "http",
        "asgi": _VERSIONS.copy(),
        "http_version": head.version,
        "server": peer.server,
        "client": peer.client,
        "scheme": peer.scheme,
        "method": head.method,
        "root_path": root_path,
        "path": decode_path(head.raw_path),
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": fields_with_host(head),
        "state": state.copy(),
        "extensions": _EXTENSIONS.copy(),
    }
