"""Whom wrapped applications see, by Granian's rules."""

from __future__ import annotations

import pytest

from granian_d.utils.proxies import wrap_asgi_with_proxy_headers, wrap_wsgi_with_proxy_headers

# whom to trust, the peer, X-Forwarded-For, -Proto, the client that is seen, the scheme
CASES = [
    ("127.0.0.1", "127.0.0.1", "1.2.3.4", "https", "1.2.3.4", "https"),
    ("127.0.0.1", "9.9.9.9", "1.2.3.4", "https", "9.9.9.9", "http"),
    ("127.0.0.1, 10.0.0.0/8", "10.1.1.1", "6.6.6.6, 1.2.3.4, 10.2.2.2", "", "1.2.3.4", "http"),
    (["10.0.0.0/8"], "10.1.1.1", "10.3.3.3, 10.2.2.2", "http", "10.3.3.3", "http"),
    ("*", "9.9.9.9", "6.6.6.6, 1.2.3.4", "https", "6.6.6.6", "https"),
    (["*"], "9.9.9.9", "unknown", "gopher", "unknown", "http"),
    ("proxy", "proxy", "1.2.3.4", "https", "1.2.3.4", "https"),
    ("10.1.1.1/8", "10.1.1.1", "1.2.3.4", "https", "10.1.1.1", "http"),  # no network: a name
    ("127.0.0.1", "127.0.0.1", "", "https", "127.0.0.1", "http"),
    ("::1", "::1", "2001:db8::1", "", "2001:db8::1", "http"),
]


@pytest.mark.parametrize(("trusted", "peer", "clients", "proto", "client", "scheme"), CASES)
def test_asgi(trusted, peer, clients, proto, client, scheme):
    app = wrap_asgi_with_proxy_headers(lambda scope, receive, send: scope, trusted)
    headers = [(b"x-forwarded-for", part.encode()) for part in clients.split(",")]
    headers.append((b"x-forwarded-proto", proto.encode()))
    scope = {"type": "http", "scheme": "http", "client": (peer, 50000), "headers": headers}
    seen = app(scope, None, None)
    assert (seen["client"][0], seen["scheme"]) == (client, scheme)
    assert (seen["client"][1] == 0) == (client != peer)


@pytest.mark.parametrize(("trusted", "peer", "clients", "proto", "client", "scheme"), CASES)
def test_wsgi(trusted, peer, clients, proto, client, scheme):
    app = wrap_wsgi_with_proxy_headers(lambda environ, start_response: environ, trusted)
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    environ |= {"HTTP_X_FORWARDED_FOR": clients, "HTTP_X_FORWARDED_PROTO": proto}
    seen = app(environ, None)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == (client, scheme)


@pytest.mark.parametrize(("proto", "scheme"), [("https", "wss"), ("ws", "ws"), ("wss", "wss")])
def test_a_websocket_has_a_scheme_of_its_own(proto, scheme):
    app = wrap_asgi_with_proxy_headers(lambda scope, receive, send: scope)
    headers = [(b"x-forwarded-proto", proto.encode()), (b"x-forwarded-for", b"1.2.3.4")]
    scope = {"type": "websocket", "scheme": "ws", "client": ("127.0.0.1", 1), "headers": headers}
    assert app(scope, None, None)["scheme"] == scheme


def test_what_has_no_peer_is_left_alone():
    app = wrap_asgi_with_proxy_headers(lambda scope, receive, send: scope, "*")
    lifespan = {"type": "lifespan"}
    assert app(lifespan, None, None) == {"type": "lifespan"}
    local = {"type": "http", "client": None, "scheme": "http", "headers": []}
    assert app(local, None, None)["client"] is None
