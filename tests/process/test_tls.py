"""TLS of a real daemon: versions, certificates by name, certificates of clients, keys and tickets."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess

import pytest
from cryptography.x509.oid import NameOID

from tests.certificates import Authority
from tests.process.daemon import fetch as fetch_plain
from tests.process.daemon import wait_until
from tests.process.tls_client import SecureConnection, context_for, fetch

# ASGI: what the scope says of TLS.
SCOPE = """
import json

async def app(scope, receive, send):
    body = json.dumps({"scheme": scope["scheme"], "tls": scope["extensions"].get("tls")}).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def host(authority):
    return authority.issue("localhost")


@pytest.fixture
def table(tmp_path, host):
    """The table `ssl` with a certificate, and lines to follow; paths are relative to the file."""
    host.write(tmp_path, "host")

    def lines(*more: str) -> str:
        return "\n".join(["[ssl]", 'certificate = "host.crt"', 'keyfile = "host.key"', *more])

    return lines


def address_of(daemon):
    return ("127.0.0.1", daemon.port)


def refused(daemon, context) -> bool:
    """The handshake fails; with TLS 1.3 a client learns of it when it reads."""
    try:
        fetch(address_of(daemon), context)
    except (ssl.SSLError, ConnectionResetError):
        return True
    return False


def test_tls_1_3_alone_is_spoken_by_default(serve, table, authority):
    daemon = serve(1, table())
    assert daemon.addresses == [f"https://127.0.0.1:{daemon.port}"]
    assert fetch(address_of(daemon), context_for(authority)).status == 200
    assert refused(daemon, context_for(authority, version=ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize("engine", ["native", "pure"])
def test_tls_1_2_where_it_is_wanted(serve, table, authority, engine):
    daemon = serve(1, f'engine = "{engine}"\n' + table('protocol_min = "tls1.2"'))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with_version = context_for(authority, version=version)
        connection = SecureConnection(address_of(daemon), with_version)
        for _ in range(3):  # kept alive
            assert connection.ask().status == 200
        connection.close()


@pytest.mark.parametrize("engine", ["native", "pure"])
def test_http_2_by_alpn(serve, table, authority, tmp_path, engine):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    daemon = serve(1, f'engine = "{engine}"\n' + table())
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    url = f"https://localhost:{daemon.port}/"
    for flag, version in (("--http2", "2"), ("--http1.1", "1.1")):
        command = [curl, "-s", "-S", flag, "--cacert", str(tmp_path / "ca.crt"), url, "--ipv4"]
        done = subprocess.run(
            [*command, "-w", "%{http_version}", "-o", str(tmp_path / "answer")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == version
        assert (tmp_path / "answer").read_text().startswith("one ")


def test_plain_and_secured_side_by_side(serve, table, authority, tmp_path):
    unix = tmp_path / "plain.sock"
    more = f'listen = ["127.0.0.1:0", "unix:{unix},tls=false"]\n' + table()
    daemon = serve(1, more)
    assert fetch(address_of(daemon), context_for(authority)).status == 200
    assert fetch_plain(str(unix)).status == 200


def test_over_a_unix_socket(serve, table, authority, tmp_path):
    unix = tmp_path / "tls.sock"
    serve(1, f'uds = "{unix}"\n' + table())
    assert fetch(str(unix), context_for(authority)).status == 200


def test_names_choose_the_certificate(serve, table, authority, host, tmp_path):
    other, wild = authority.issue("api.example.com"), authority.issue("*.example.net")
    other.write(tmp_path, "api")
    wild.write(tmp_path, "wild", password="open sesame")
    entry = '{certificate = "wild.crt", keyfile = "wild.key", keyfile_password = "open sesame"}'
    daemon = serve(1, table(f'sni = ["api.crt,api.key", {entry}]'))
    for name, issued in (
        ("localhost", host),
        ("api.example.com", other),
        ("www.example.net", wild),
    ):
        connection = SecureConnection(address_of(daemon), context_for(authority), name)
        assert connection.ask().status == 200
        assert connection.shows(issued)
        connection.close()


def test_credentials_stand_for_files_and_for_the_password(serve, authority, host, tmp_path):
    directory = tmp_path / "credentials"
    directory.mkdir()
    host.write(directory, "web", password="open sesame")
    (directory / "password").write_text("open sesame\n")
    table = '[ssl]\ncertificate = "credential:web.crt"\nkeyfile = "credential:web.key"\n'
    table += 'keyfile_password = "credential:password"\n'
    daemon = serve(1, table, environ={"CREDENTIALS_DIRECTORY": str(directory)})
    assert fetch(address_of(daemon), context_for(authority)).status == 200
    assert "sesame" not in daemon.log


class TestClients:
    @pytest.fixture
    def clients(self, tmp_path):
        """An authority for clients, its files beside the configuration, and three of them."""
        authority = Authority("Clients")
        subject = [(NameOID.ORGANIZATION_NAME, "Example, Inc."), (NameOID.COMMON_NAME, "alice")]
        good = authority.issue(subject=subject)
        revoked = authority.issue()
        (tmp_path / "clients.crt").write_bytes(authority.pem)
        (tmp_path / "clients.crl").write_bytes(authority.revoke(revoked))
        return {
            "good": good.write(tmp_path, "good"),
            "revoked": revoked.write(tmp_path, "revoked"),
            "stranger": Authority("Strangers").issue().write(tmp_path, "stranger"),
            "none": None,
            "pem": good.pem.decode(),
        }

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("required", [True, False])
    def test_who_is_let_in(self, serve, table, authority, clients, required, version):
        wanted = "true" if required else "false"
        daemon = serve(
            1,
            table(
                'protocol_min = "tls1.2"',
                'ca = "clients.crt"',
                'crl = ["clients.crl"]',
                f"client_verify = {wanted}",
            ),
        )
        let_in = {
            name: not refused(daemon, context_for(authority, version=version, cert=clients[name]))
            for name in ("good", "revoked", "stranger", "none")
        }
        assert let_in == {
            "good": True,
            "revoked": False,
            "stranger": False,
            "none": not required,
        }

    @pytest.mark.parametrize("who", ["good", "none"])
    def test_what_the_application_sees(self, serve, table, authority, clients, tmp_path, who, host):
        (tmp_path / "seen.py").write_text(SCOPE)
        daemon = serve(
            1, 'log.level = "debug"\n' + table('ca = "clients.crt"'), arguments=("seen",)
        )
        seen = fetch(address_of(daemon), context_for(authority, cert=clients[who])).json
        known = who == "good"
        assert seen == {
            "scheme": "https",
            "tls": {
                "server_cert": host.pem.decode(),
                "client_cert_chain": [clients["pem"]] if known else [],
                "client_cert_name": "CN=alice,O=Example\\, Inc." if known else None,
                "client_cert_error": None,
                "tls_version": 0x0304,
                "cipher_suite": 0x1302,
            },
        }


class TestTickets:
    def session_of(self, daemon, context):
        connection = SecureConnection(address_of(daemon), context)
        answer = connection.ask()
        session = connection.sock.session
        connection.close()
        return answer.text, session

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_every_worker_takes_them_and_a_reload_does_not_end_them(
        self, serve, table, authority, version
    ):
        daemon = serve(2, table('protocol_min = "tls1.2"'))
        context = context_for(authority, version=version)
        seen = set()
        for reloaded in (False, True):
            if reloaded:
                daemon.reload()
            for _ in range(60):  # connections go to whoever is awake
                _, session = self.session_of(daemon, context)
                again = SecureConnection(address_of(daemon), context, session=session)
                seen.add((reloaded, again.ask().text))
                assert again.sock.session_reused
                again.close()
                if len(seen) == 2 * (1 + reloaded):
                    break
        assert len(seen) == 4, "two workers before the reload, two others after it"

    def test_a_ticket_of_before_the_reload(self, serve, table, authority):
        daemon = serve(2, table())
        context = context_for(authority)
        _, session = self.session_of(daemon, context)
        daemon.reload()
        again = SecureConnection(address_of(daemon), context, session=session)
        assert again.ask().status == 200
        assert again.sock.session_reused
        again.close()

    def test_their_key_is_replaced(self, serve, table, authority):
        daemon = serve(1, table("ticket_lifetime = 1"))
        context = context_for(authority)
        _, session = self.session_of(daemon, context)

        def forgotten():
            again = SecureConnection(address_of(daemon), context, session=session)
            again.ask()
            reused = again.sock.session_reused
            again.close()
            return not reused

        wait_until(forgotten, lambda: "the key of the first ticket still opens it")


def test_a_handshake_may_not_take_for_ever(serve, table):
    daemon = serve(1, 'log.level = "debug"\n' + table("handshake_timeout = 1"))
    silent = daemon.dial()
    with pytest.raises(ConnectionResetError):
        silent.recv(1)
    daemon.wait_for_log("failed: it took longer than 1 s")


def test_who_speaks_no_tls_is_logged_and_harms_nobody(serve, table, authority):
    daemon = serve(1, 'log.level = "debug"\n' + table())
    plain = daemon.dial()
    plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP" not in plain.recv(100)
    daemon.wait_for_log("TLS with 127.0.0.1 failed: http request")
    assert fetch(address_of(daemon), context_for(authority)).status == 200


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('certificate = "host.crt"', "ssl.certificate: ssl.keyfile is missing: its key"),
        ('keyfile = "host.key"', "ssl.keyfile: is of use with ssl.certificate only"),
        (
            'certificate = "host.crt"\nkeyfile = "other.key"',
            "other.key is not the key of",
        ),
        (
            'certificate = "host.crt"\nkeyfile = "host.key"\nclient_verify = true',
            "ssl.client_verify: is of use with ssl.ca only",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(make_daemon, table, authority, tmp_path, lines, reason):
    table()
    authority.issue("other").write(tmp_path, "other")
    daemon = make_daemon(1, f"[ssl]\n{lines}").start()
    assert daemon.wait() == 78
    (line,) = [line for line in daemon.log.splitlines() if "Could not start" in line]
    assert reason in line


def test_an_expired_certificate_is_told_and_served(serve, authority, tmp_path):
    authority.issue("localhost", days=-1).write(tmp_path, "old")
    daemon = serve(1, '[ssl]\ncertificate = "old.crt"\nkeyfile = "old.key"')
    assert "ssl.certificate: " in daemon.log
    assert "old.crt has expired" in daemon.log
    with pytest.raises(ssl.SSLCertVerificationError):
        fetch(address_of(daemon), context_for(authority))
    assert isinstance(daemon.dial(), socket.socket)


def test_behind_a_proxy_that_passes_tls_through(serve, table, authority, tmp_path):
    """The PROXY header comes first, then the handshake of the client that it names."""
    (tmp_path / "seen.py").write_text(SCOPE.replace('"tls"', '"client": scope["client"], "tls"', 1))
    daemon = serve(1, "proxy_protocol = true\n" + table(), arguments=("seen",))
    sock = daemon.dial()
    sock.sendall(b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n")
    secured = context_for(authority).wrap_socket(sock, server_hostname="localhost")
    secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b""
    while part := secured.recv(65536):
        answer += part
    secured.close()
    seen = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (seen["client"], seen["scheme"]) == (["203.0.113.7", 40000], "https")
    assert seen["tls"]["tls_version"] == 0x0304


@pytest.mark.parametrize("engine", ["native", "pure"])
def test_large_bodies_both_ways(serve, table, authority, engine):
    daemon = serve(1, f'engine = "{engine}"\n' + table())
    connection = SecureConnection(address_of(daemon), context_for(authority))
    for size in (20_000_000, 0, 1):
        assert connection.ask("/upload", "POST", b"x" * size).text == str(size)
    connection.close()
