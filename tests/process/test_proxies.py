"""Whom an application sees behind a proxy: PROXY protocol and forwarded fields, by each interface."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from tests.process.daemon import Daemon, fetch, wait_until
from tests.process.tools import need
from tests.unit.transport.proxy_headers import block, ip_block, line, tls_vector

APPLICATIONS = """
import json

def told(client, server, scheme):
    return json.dumps([client, server, scheme]).encode()

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    said = told(scope["client"], scope["server"], scope["scheme"])
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return await send({"type": "websocket.send", "text": said.decode()})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said})

def wsgi(environ, start_response):
    client = environ.get("REMOTE_ADDR") and [environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])]
    server = [environ["SERVER_NAME"], int(environ["SERVER_PORT"])]
    start_response("200 OK", [])
    return [told(client or None, server, environ["wsgi.url_scheme"])]

async def rsgi(scope, protocol):
    def end(text):
        host, _, port = text.rpartition(":")
        return [host.strip("[]"), int(port)] if port.isdigit() else text or None
    said = told(end(scope.client), end(scope.server), scope.scheme)
    if scope.proto == "ws":
        transport = await protocol.accept()
        return await transport.send_str(said.decode())
    protocol.response_bytes(200, [], said)
"""
INTERFACES = ["asgi", "wsgi", "rsgi"]
CLIENT, SERVER = ("192.0.2.7", 56324), ("198.51.100.1", 443)
SIX = ("2001:db8::7", 4711), ("2001:db8::1", 8443)
ACCESS_LOG = '[access_log]\nenabled = true\nfmt = "%(addr)s %(scheme)s %(status)d"\n'


@pytest.fixture
def short():
    """A directory with a path that fits into sun_path."""
    with tempfile.TemporaryDirectory(prefix="gd") as directory:
        yield Path(directory)


@pytest.fixture
def proxied(tmp_path):
    """Start a daemon with these options and with an access log."""
    started = []

    def start(options: str, interface: str = "asgi", engine: str = "auto") -> Daemon:
        (tmp_path / "told.py").write_text(APPLICATIONS)
        head = f'app = "told:{interface}"\ninterface = "{interface}"\nengine = "{engine}"\n'
        daemon = Daemon(tmp_path, f"{head}{options}\n{ACCESS_LOG}")
        started.append(daemon)
        daemon.start()
        daemon.wait_for("READY=1")
        return daemon

    yield start
    for daemon in started:
        daemon.close()


def access_lines(daemon, count):
    path = daemon.directory / "stdout.log"
    wait_until(lambda: path.read_text().count("\n") >= count)
    return path.read_text().splitlines()


def ask(daemon, header: bytes) -> bytes:
    """What a connection that begins with `header` gets for a request."""
    sock = daemon.dial()
    sock.sendall(header + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = b""
    while part := sock.recv(65536):
        answer += part
    return answer


def body(answer: bytes):
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    if b"chunked" in head.lower():
        content = content.partition(b"\r\n")[2].partition(b"\r\n")[0]
    return json.loads(content)


@pytest.mark.parametrize("engine", ["auto", "pure"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_the_application_sees_the_ends_that_a_proxy_header_names(proxied, interface, engine):
    daemon = proxied("port = 0\nproxy_protocol = true", interface, engine)
    here = ["127.0.0.1", daemon.port]
    assert body(ask(daemon, line(CLIENT, SERVER))) == [[*CLIENT], [*SERVER], "http"]
    assert body(ask(daemon, line(*SIX))) == [[*SIX[0]], [*SIX[1]], "http"]
    assert body(ask(daemon, ip_block(*SIX, tls_vector(1)))) == [[*SIX[0]], [*SIX[1]], "https"]
    client, server, scheme = body(ask(daemon, block(command=0x20)))
    assert (client[0], server, scheme) == ("127.0.0.1", here, "http")
    with pytest.raises(ConnectionResetError):
        ask(daemon, b"")
    assert access_lines(daemon, 4) == [
        "192.0.2.7 http 200",
        "2001:db8::7 http 200",
        "2001:db8::7 https 200",
        "127.0.0.1 http 200",
    ]


def test_one_listener_of_two_is_behind_a_proxy_and_a_reload_changes_it(proxied):
    daemon = proxied('listen = ["127.0.0.1:0,proxy_protocol=true", "127.0.0.2:0"]')
    ports = [int(address.rsplit(":", 1)[1]) for address in daemon.addresses]
    assert body(ask(daemon, line(CLIENT, SERVER)))[0] == [*CLIENT]
    assert fetch(("127.0.0.2", ports[1])).json[1] == ["127.0.0.2", ports[1]]
    config = daemon.config.read_text()
    daemon.config.write_text(config.replace("proxy_protocol=true", "proxy_protocol=false"))
    daemon.reload()
    assert fetch(("127.0.0.1", ports[0])).json[0][0] == "127.0.0.1"


def test_a_reload_drains_a_connection_that_has_not_sent_its_header(proxied):
    daemon = proxied("port = 0\nproxy_protocol = true")
    ask(daemon, line(CLIENT, SERVER))
    early = daemon.dial()
    early.sendall(line(CLIENT, SERVER)[:10])
    ask(daemon, line(CLIENT, SERVER))  # accepted after it
    daemon.reload()
    early.sendall(line(CLIENT, SERVER)[10:] + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    while part := early.recv(65536):
        answer += part
    assert body(answer)[0] == [*CLIENT]
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("engine", ["auto", "pure"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_the_application_sees_for_whom_a_trusted_proxy_asks(proxied, short, interface, engine):
    listen = f'listen = ["127.0.0.1:0", "unix:{short}/s"]'
    allow = 'forwarded_allow_ips = ["127.0.0.0/8", "unix"]'
    daemon = proxied(f"{listen}\n{allow}", interface, engine)
    fields = {
        "X-Forwarded-For": "203.0.113.1, 192.0.2.7, 127.0.0.2",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "www.example.org",
    }
    connection = daemon.connection()
    for _ in range(2):
        assert connection.ask(headers=fields).json == [
            ["192.0.2.7", 0],
            ["www.example.org", 443],
            "https",
        ]
    client, server, scheme = connection.ask(headers={"Forwarded": "for=192.0.2.7"}).json
    assert (client[0], server, scheme) == ("127.0.0.1", ["127.0.0.1", daemon.port], "http")
    assert fetch(f"{short}/s", headers=fields).json[0] == ["192.0.2.7", 0]
    assert access_lines(daemon, 4) == [
        "192.0.2.7 https 200",
        "192.0.2.7 https 200",
        "127.0.0.1 http 200",
        "192.0.2.7 https 200",
    ]


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("allow", ["", 'forwarded_allow_ips = ["10.0.0.0/8", "unix"]'])
def test_who_is_not_listed_is_not_believed(proxied, interface, allow):
    daemon = proxied(f"port = 0\n{allow}", interface)
    fields = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "Forwarded": "for=a"}
    client, server, scheme = fetch(("127.0.0.1", daemon.port), headers=fields).json
    assert (client[0], server, scheme) == ("127.0.0.1", ["127.0.0.1", daemon.port], "http")


def test_the_fields_of_who_came_by_a_proxy_header_count_if_that_one_is_listed(proxied):
    allow = 'forwarded_allow_ips = ["192.0.2.7"]\nforwarded_fields = "forwarded"'
    daemon = proxied(f"port = 0\nproxy_protocol = true\n{allow}")
    request = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nForwarded: for=203.0.113.1\r\n\r\n"
    )
    for who, expected in ((CLIENT, "203.0.113.1"), (("192.0.2.8", 1), "192.0.2.8")):
        sock = daemon.dial()
        sock.sendall(line(who, SERVER) + request)
        answer = b""
        while part := sock.recv(65536):
            answer += part
        assert body(answer)[0][0] == expected


def test_streams_of_one_connection_are_for_whom_each_says(proxied):
    """A proxy asks for several clients on one connection of HTTP/2."""
    options = 'port = 0\nproxy_protocol = true\nforwarded_allow_ips = ["192.0.2.0/24"]'
    sock = proxied(options, engine="pure").dial()
    peer = H2Connection(H2Configuration(header_encoding=None))
    peer.initiate_connection()
    head = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    expected = {1: ["203.0.113.1", 0], 3: ["203.0.113.2", 0], 5: ["203.0.113.1", 0], 7: [*CLIENT]}
    for stream, (host, _) in expected.items():
        fields = [("x-forwarded-for", host)] if stream != 7 else []
        peer.send_headers(stream, head + fields, end_stream=True)
    sock.sendall(line(CLIENT, SERVER) + peer.data_to_send())
    said = dict.fromkeys(expected, b"")
    ended = set()
    while ended != set(expected):
        part = sock.recv(65536)
        assert part, said
        for event in peer.receive_data(part):
            if isinstance(event, DataReceived):
                said[event.stream_id] += event.data
            elif isinstance(event, StreamEnded):
                ended.add(event.stream_id)
    assert {stream: json.loads(text)[0] for stream, text in said.items()} == expected


@pytest.mark.parametrize("engine", ["auto", "pure"])
@pytest.mark.parametrize(("interface", "scheme"), [("asgi", b"wss"), ("rsgi", b"https")])
def test_a_conversation_sees_for_whom_it_is(proxied, interface, scheme, engine):
    options = 'port = 0\nproxy_protocol = true\nforwarded_allow_ips = ["192.0.2.0/24"]'
    sock = proxied(options, interface, engine).dial()
    sock.sendall(
        line(CLIENT, SERVER)
        + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    )
    expected = b'[["203.0.113.1", 0], ["198.51.100.1", 443], "' + scheme + b'"]'
    said = b""
    while expected not in said:
        part = sock.recv(65536)
        assert part, said
        said += part


NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen unix:{folder}/front;
        set_real_ip_from unix:;
        real_ip_header X-Test-Client;  # the test stands for clients of many addresses
        location / {{
            proxy_pass http://unix:{folder}/app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port "";
            proxy_set_header Forwarded "";
        }}
    }}
}}
"""


def test_behind_nginx(proxied, short):
    nginx = need("nginx", "nginx-light")
    daemon = proxied(f'listen = ["unix:{short}/app"]\nforwarded_allow_ips = ["unix"]')
    assert fetch(f"{short}/app").json[0] is None
    (short / "nginx.conf").write_text(NGINX.format(folder=short))
    os.chmod(short, 0o755)
    process = subprocess.Popen(
        [nginx, "-e", f"{short}/nginx.log", "-p", str(short), "-c", f"{short}/nginx.conf"]
    )
    try:
        wait_until(lambda: _listens(f"{short}/front"))
        fields = {
            "X-Test-Client": "192.0.2.7",
            "X-Forwarded-For": "203.0.113.1",
            "Host": "a.example",
        }
        assert fetch(f"{short}/front", headers=fields).json == [
            ["192.0.2.7", 0],
            ["a.example", 443],
            "https",
        ]
    finally:
        process.terminate()
        process.wait(10)
    assert "192.0.2.7 https 200" in access_lines(daemon, 2)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0
