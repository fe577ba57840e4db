"""ASGI through a daemon: what peers see of what an application says, and the other way round."""

from __future__ import annotations

import json
import socket

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.certificates import Authority
from tests.parity.h2_stream import Stream
from tests.parity.sites.asgi_served import CONTENT
from tests.process.daemon import fetch, wait_until
from tests.process.tls_client import context_for
from tests.process.tls_client import fetch as fetch_secured

MIXED = b"<" + CONTENT[:10] + b">" + CONTENT


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def daemon(serving):
    return serving("asgi_served", "asgi", "access_log.enabled = true")


def over_h2(daemon, path, *fields):
    sock = socket.create_connection(("127.0.0.1", daemon.port), 30)
    with sock:
        return Stream(sock, path, *fields).whole()


def raw(daemon, request):
    """All that comes to one request, after which the connection is closed."""
    sock = daemon.dial()
    sock.sendall(request)
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_ports_are_integers(daemon):
    scope = daemon.get("/scope").json
    assert scope["server"] == ["127.0.0.1", daemon.port]
    assert type(scope["client"][1]) is int
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}


def test_a_unix_socket_has_no_port(daemon):
    scope = fetch(str(daemon.directory / "app.sock"), "/scope").json
    assert scope["server"] == [str(daemon.directory / "app.sock"), None]
    assert scope["client"] is None


def test_http_1_0_is_1_0(daemon):
    answer = raw(daemon, b"GET /scope HTTP/1.0\r\nHost: a\r\n\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["http_version"] == "1.0"


def test_a_head_needs_no_headers(daemon):
    assert daemon.get("/headless").text == "fine"


@pytest.mark.parametrize("status", [1000, 99, -1, 1 << 40])
def test_a_status_that_is_none_harms_nobody(daemon, status):
    before = daemon.get("/scope").json["pid"]
    assert daemon.get(f"/status?{status}").status == 500
    assert daemon.get("/scope").json["pid"] == before


def test_early_hints_behind_the_start(daemon):
    answer = raw(daemon, b"GET /hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP")
    stream = over_h2(daemon, "/hints")
    assert (stream.interims, stream.body) == (["103"], b"fine")


def test_trailers(daemon):
    request = b"GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"
    assert raw(daemon, request).endswith(b"0\r\nx-sum: 42\r\n\r\n")
    assert over_h2(daemon, "/trailers", ("te", "trailers")).trailers == {"x-sum": "42"}
    assert over_h2(daemon, "/trailers").trailers == {}


def test_zero_copy_send(daemon):
    assert daemon.get("/zerocopy").body == MIXED
    assert over_h2(daemon, "/zerocopy").body == MIXED


def test_zero_copy_send_of_a_known_length(daemon):
    assert daemon.get("/whole").body == CONTENT
    assert daemon.get("/whole").body == CONTENT, "the file is still open"


def test_pathsend(daemon):
    assert daemon.get("/pathsend").body == CONTENT
    assert over_h2(daemon, "/pathsend").body == CONTENT


def test_a_session_may_be_refused_in_parts(daemon):
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{daemon.port}/denied")
    response = caught.value.response
    assert (response.status_code, response.headers["x-why"]) == (418, "tea")
    assert response.body == b"short and stout"


def test_the_access_log_tells_what_was_answered(daemon):
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{daemon.port}/denied?logged")
    raw(daemon, b"GET /status?204 HTTP/1.0\r\nHost: a\r\n\r\n")
    log = daemon.directory / "stdout.log"
    wait_until(lambda: '"GET /status HTTP/1.0" 204 ' in log.read_text())
    assert '"GET /denied HTTP/1.1" 418 ' in log.read_text()


def test_headers_codes_and_reasons_of_a_session(daemon):
    address = f"ws://127.0.0.1:{daemon.port}/"
    with connect(address, subprotocols=["chat", "other"]) as session:
        assert session.response.headers["x-room"] == "7"
        assert session.subprotocol == "chat"
        assert json.loads(session.recv()) == ["chat", "other"]
        session.send("x")
        with pytest.raises(ConnectionClosedError) as caught:
            session.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "enough")


def test_the_reason_of_the_peer(daemon):
    with connect(f"ws://127.0.0.1:{daemon.port}/", subprotocols=["chat"]) as session:
        session.recv()
        session.close(4002, "had enough")
    note = daemon.directory / "disconnected"
    wait_until(lambda: note.exists() and note.read_text())
    assert json.loads(note.read_text()) == [4002, "had enough"]


def test_secured(serving, authority, tmp_path):
    """What the application is told of it; a file is copied where the kernel cannot send it."""
    authority.issue("localhost").write(tmp_path, "host")
    table = [
        "[ssl]",
        f'certificate = "{tmp_path}/host.crt"',
        f'keyfile = "{tmp_path}/host.key"',
    ]
    secured = serving("asgi_served", "asgi", *table)
    context = context_for(authority)
    address = ("127.0.0.1", secured.port)
    scope = fetch_secured(address, context, "/scope").json
    assert scope["scheme"] == "https"
    assert "tls" in scope["extensions"]
    assert fetch_secured(address, context, "/whole").body == CONTENT
    context.set_alpn_protocols(["h2"])
    sock = socket.create_connection(address, 30)
    with context.wrap_socket(sock, server_hostname="localhost") as secure:
        assert Stream(secure, "/zerocopy").whole().body == MIXED


def test_shutdown_with_the_signal_ends_streams(serving):
    """The application is told while its stream is under way, which would never end otherwise."""
    own = serving("asgi_served", "asgi", 'lifespan_shutdown = "signal"')
    stream = own.connection()
    stream.request("GET", "/stream")
    response = stream.getresponse()
    own.signal("TERM")
    assert response.read() == b"data: bye\n\n"
    assert own.wait() == 0
    assert "drain_cut" not in own.log
