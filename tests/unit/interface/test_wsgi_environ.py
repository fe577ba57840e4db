"""The environ, key by key."""

import io
import sys

import pytest

from granian_d import __version__
from granian_d.errors import LoadError
from granian_d.http.message import Peer, TlsFacts
from granian_d.interface.registry import load
from granian_d.interface.wsgi.environ import CACHED_KEYS, CACHED_NAME_BYTES, Surroundings
from granian_d.interface.wsgi.file_wrapper import FileWrapper

from .memory import TCP, TCP6, UNIX, connected, context, request


def environ_of(head, peer=TCP, root_path="", multithread=True, multiprocess=False):
    surroundings = Surroundings(root_path, multithread, multiprocess)
    return surroundings.environ(head, connected(peer), io.BytesIO())


def test_tls() -> None:
    facts = TlsFacts(0x0303, 0xC02C, "ECDHE", "a.org", "OURS", ("ALICE", "CA"), "CN=Ren\xe9e")
    environ = environ_of(request(b"/"), Peer(None, ("192.0.2.1", 443), "https", facts))
    wanted = {
        "HTTPS": "on",
        "SSL_PROTOCOL": "TLSv1.2",
        "SSL_CIPHER": "ECDHE",
        "SSL_TLS_SNI": "a.org",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": "ALICE",
        "SSL_CLIENT_S_DN": "CN=Ren\xc3\xa9e",  # UTF-8, each octet as a character
    }
    assert {name: environ[name] for name in environ if "SSL" in name or name == "HTTPS"} == wanted


def test_tls_without_a_client_certificate() -> None:
    facts = TlsFacts(0x0304, 0x1302, "AES", "", "OURS", (), "")
    environ = environ_of(request(b"/"), Peer(None, ("192.0.2.1", 443), "https", facts))
    assert environ["SSL_CLIENT_VERIFY"] == "NONE"
    assert not {"SSL_CLIENT_CERT", "SSL_CLIENT_S_DN", "SSL_TLS_SNI"} & set(environ)


def test_the_whole_environ() -> None:
    body = io.BytesIO()
    head = request(
        b"/a%20b/%ff?q=%20",
        "POST",
        [
            (b"host", b"example.org"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"0012"),
            (b"x-thing", b"caf\xe9"),
        ],
        content_length=12,
    )
    assert Surroundings("", True, False).environ(head, connected(TCP), body) == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\xff",
        "QUERY_STRING": "q=%20",
        "REQUEST_URI": "/a%20b/%ff?q=%20",
        "RAW_URI": "/a%20b/%ff?q=%20",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "12",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": f"granian-d/{__version__}",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "50123",
        "HTTP_HOST": "example.org",
        "HTTP_X_THING": "caf\xe9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def test_threads_and_processes() -> None:
    environ = environ_of(request(), multithread=False, multiprocess=True)
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.multiprocess"] is True


def test_environs_are_not_shared() -> None:
    surroundings = Surroundings("", True, True)
    peer = connected(TCP)
    surroundings.environ(request(), peer, io.BytesIO()).clear()
    assert surroundings.environ(request(), peer, io.BytesIO())["wsgi.version"] == (1, 0)


def test_each_connection_has_its_own_ends() -> None:
    surroundings = Surroundings("", multithread=True, multiprocess=True)
    keys = ("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "wsgi.url_scheme")
    peers = (
        (connected(TCP), ("192.0.2.1", "8000", "192.0.2.7", "http")),
        (connected(TCP6), ("2001:db8::1", "8443", "2001:db8::7", "https")),
        (connected(UNIX), ("example.org", "80", "", "http")),
    )
    for _ in range(2):
        for peer, ends in peers:
            environ = surroundings.environ(request(), peer, io.BytesIO())
            assert tuple(environ[key] for key in keys) == ends


def test_errors_are_the_stderr_of_the_moment(monkeypatch) -> None:
    surroundings = Surroundings("", multithread=True, multiprocess=True)
    peer = connected(TCP)
    for _ in range(2):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        environ = surroundings.environ(request(), peer, io.BytesIO())
        assert environ["wsgi.errors"] is sys.stderr


def test_path_in_latin_1() -> None:
    environ = environ_of(request(b"/%E2%82%AC"))
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/€"


@pytest.mark.parametrize(
    ("path", "path_info"),
    [
        (b"/app", ""),
        (b"/app/", "/"),
        (b"/app/x", "/x"),
        (b"/%61pp/x", "/x"),
        (b"/application", "/application"),
        (b"/ap", "/ap"),
        (b"/x/app", "/x/app"),
        (b"/", "/"),
    ],
)
def test_mount_point(path, path_info) -> None:
    environ = environ_of(request(path), root_path="/app")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", path_info)


def test_mount_point_outside_of_ascii() -> None:
    environ = environ_of(request(b"/caf%c3%a9/x"), root_path="/café")
    assert environ["SCRIPT_NAME"].encode("latin-1").decode() == "/café"
    assert environ["PATH_INFO"] == "/x"


def test_request_uri_without_query() -> None:
    assert environ_of(request(b"/x"))["REQUEST_URI"] == "/x"
    assert environ_of(request(b"*", "OPTIONS"))["PATH_INFO"] == "*"


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
def test_protocol(version) -> None:
    assert environ_of(request(version=version))["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_tls_over_ipv6() -> None:
    environ = environ_of(request(), TCP6)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["SERVER_NAME"] == "2001:db8::1"
    assert environ["REMOTE_ADDR"] == "2001:db8::7"


@pytest.mark.parametrize(
    ("authority", "name", "port"),
    [
        (b"example.org", "example.org", "80"),
        (b"example.org:8080", "example.org", "8080"),
        (b"example.org:", "example.org", "80"),
        (b"[::1]", "::1", "80"),
        (b"[::1]:81", "::1", "81"),
        (b"", "localhost", "80"),
    ],
)
def test_unix_sockets_have_no_address(authority, name, port) -> None:
    environ = environ_of(request(fields=[], authority=authority), UNIX)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


class TestFields:
    def test_duplicates(self) -> None:
        fields = [(b"cookie", b"a=1"), (b"accept", b"a"), (b"cookie", b"b=2"), (b"accept", b"b")]
        fields += [(b"x-mine", b"1"), (b"x-mine", b"2")]
        environ = environ_of(request(fields=fields))
        assert environ["HTTP_COOKIE"] == "a=1; b=2"
        assert environ["HTTP_ACCEPT"] == "a,b"
        assert environ["HTTP_X_MINE"] == "1,2"

    def test_underscores_do_not_pass_for_hyphens(self) -> None:
        fields = [(b"x-user", b"me"), (b"x_user", b"root"), (b"content_type", b"x")]
        environ = environ_of(request(fields=fields))
        assert environ["HTTP_X_USER"] == "me"
        assert "CONTENT_TYPE" not in environ

    def test_more_names_than_are_remembered(self) -> None:
        surroundings = Surroundings("", multithread=False, multiprocess=False)
        peer = connected(TCP)
        for number in range(2 * CACHED_KEYS):
            name, long = b"x-%d" % number, b"%d" % number + b"-x" * CACHED_NAME_BYTES
            fields = [(name, b"1"), (name.replace(b"-", b"_"), b"2"), (name, b"3"), (long, b"4")]
            environ = surroundings.environ(request(fields=fields), peer, io.BytesIO())
            assert environ[f"HTTP_X_{number}"] == "1,3"
            assert environ[f"HTTP_{number}" + "_X" * CACHED_NAME_BYTES] == "4"
            assert "" not in environ
        assert len(surroundings._keys) == CACHED_KEYS

    def test_chunked_has_no_length(self) -> None:
        fields = [(b"transfer-encoding", b"chunked")]
        environ = environ_of(request(fields=fields, content_length=None))
        assert "CONTENT_LENGTH" not in environ
        assert environ["HTTP_TRANSFER_ENCODING"] == "chunked"

    def test_no_body_has_no_length(self) -> None:
        assert "CONTENT_LENGTH" not in environ_of(request())
        assert "HTTP_CONTENT_LENGTH" not in environ_of(
            request(fields=[(b"content-length", b"5")], content_length=5)
        )

    def test_host_is_the_authority(self) -> None:
        environ = environ_of(request(fields=[(b"host", b"evil.org")], authority=b"x.org"))
        assert environ["HTTP_HOST"] == "x.org"
        environ = environ_of(request(fields=[], authority=b"x.org", version="2"))
        assert environ["HTTP_HOST"] == "x.org"
        environ = environ_of(request(fields=[], authority=b"", version="1.0"))
        assert "HTTP_HOST" not in environ
        environ = environ_of(request(fields=[(b"host", b"")], authority=b""))
        assert environ["HTTP_HOST"] == ""

    def test_equal_values_are_joined_as_well(self) -> None:
        environ = environ_of(request(fields=[(b"x-mine", b"1"), (b"x-mine", b"1")]))
        assert environ["HTTP_X_MINE"] == "1,1"


def test_what_cannot_be_called_is_no_application(loop) -> None:
    with pytest.raises(LoadError, match=r"environ, start_response.*Peer"):
        load("wsgi")(TCP, context(loop))
