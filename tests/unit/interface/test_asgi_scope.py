"""The HTTP connection scope, key by key."""

import asyncio

import pytest

from granian_d.errors import LoadError
from granian_d.http.message import Peer, TlsFacts
from granian_d.interface.registry import load

from .memory import TCP, TCP6, UNIX, MemoryExchange, context, request

FACTS = TlsFacts(
    0x0304, 0x1302, "TLS_AES_256_GCM_SHA384", "a.org", "OURS", ("ALICE", "CA"), "CN=alice"
)


def scope_of(run, exchange, **changes):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def main():
        interface = load("asginl")(app, context(asyncio.get_running_loop(), **changes))
        interface.serve(exchange)
        await interface.settle()

    run(main())
    return seen[0]


def test_the_whole_scope(run) -> None:
    head = request(
        b"/caf%C3%A9/x%2fy?q=%20&q",
        "POST",
        [(b"host", b"example.org"), (b"cookie", b"a"), (b"cookie", b"b")],
    )
    assert scope_of(run, MemoryExchange(head)) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "server": ("192.0.2.1", 8000),
        "client": ("192.0.2.7", 50123),
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": "/café/x/y",
        "raw_path": b"/caf%C3%A9/x%2fy",
        "query_string": b"q=%20&q",
        "headers": [(b"host", b"example.org"), (b"cookie", b"a"), (b"cookie", b"b")],
        "state": {},
        "extensions": {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.trailers": {},
            "http.response.zerocopysend": {},
        },
    }


def test_tls(run) -> None:
    peer = Peer(("192.0.2.7", 1), ("192.0.2.1", 443), "https", FACTS)
    tls = scope_of(run, MemoryExchange(peer=peer))["extensions"]["tls"]
    assert tls == {
        "server_cert": "OURS",
        "client_cert_chain": ("ALICE", "CA"),
        "client_cert_name": "CN=alice",
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1302,
    }
    facts = TlsFacts(0x0303, 0, "ODD", "", "OURS", (), "")
    peer = Peer(None, None, "https", facts)
    tls = scope_of(run, MemoryExchange(peer=peer))["extensions"]["tls"]
    assert tls["client_cert_chain"] == ()
    assert tls["client_cert_name"] is tls["cipher_suite"] is None


def test_an_application_may_change_what_it_was_told_of_tls(run) -> None:
    exchange = MemoryExchange(peer=Peer(None, None, "https", FACTS))
    scope_of(run, exchange)["extensions"]["tls"].clear()
    again = MemoryExchange()
    again.peer = exchange.peer
    assert scope_of(run, again)["extensions"]["tls"]["server_cert"] == "OURS"


def test_peers(run) -> None:
    scope = scope_of(run, MemoryExchange(peer=TCP6))
    assert scope["client"] == ("2001:db8::7", 50123)
    assert scope["scheme"] == "https"
    scope = scope_of(run, MemoryExchange(peer=UNIX))
    assert scope["client"] is None
    assert scope["server"] == ("/run/app.sock", None)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3"])
def test_version(run, version) -> None:
    assert scope_of(run, MemoryExchange(request(version=version)))["http_version"] == version


def test_debugging_is_offered_where_it_is_wanted(run) -> None:
    scope = scope_of(run, MemoryExchange(), debug=True)
    assert scope["extensions"]["http.response.debug"] == {}


def test_root_path_leaves_the_path_alone(run) -> None:
    scope = scope_of(run, MemoryExchange(request(b"/app/x")), root_path="/app")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/app", "/app/x", b"/app/x")


def test_host_of_an_authority(run) -> None:
    exchange = MemoryExchange(request(version="2", fields=[(b"a", b"1")], authority=b"x.org"))
    assert scope_of(run, exchange)["headers"] == [(b"host", b"x.org"), (b"a", b"1")]


def test_nothing_is_shared_between_requests(run) -> None:
    first, second = MemoryExchange(), MemoryExchange()
    head = first.head
    one = scope_of(run, first)
    one["headers"].clear()
    one["asgi"].clear()
    one["extensions"].clear()
    other = scope_of(run, second)
    assert head.fields == other["headers"]
    assert other["asgi"]["version"] == "3.0"
    assert "http.response.pathsend" in other["extensions"]


def test_state_is_a_shallow_copy(run) -> None:
    seen = []
    pool = object()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            scope["state"]["pool"] = pool
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(dict(scope["state"]))
        scope["state"]["mine"] = 1
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def main():
        interface = load("asgi")(app, context(asyncio.get_running_loop()))
        await interface.startup()
        for _ in range(2):
            interface.serve(MemoryExchange())
            await interface.settle()
        await interface.shutdown()
        assert not interface.notes

    run(main())
    assert seen == [{"pool": pool}, {"pool": pool}]


@pytest.mark.parametrize("name", ["asgi", "asginl"])
def test_what_cannot_be_called_is_no_application(loop, name) -> None:
    with pytest.raises(LoadError, match=r"scope, receive, send.*Peer"):
        load(name)(TCP, context(loop))
