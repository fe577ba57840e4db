"""The environ of one request (PEP 3333, "environ Variables"; RFC 3875 4.1 for the CGI part).

Text in an environ is bytes in disguise: each character is one byte (ISO 8859-1). The environment
of the process is not part of it: what is secret there must not show in an error page.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from granian_d import __version__
from granian_d.http.fields import values
from granian_d.interface.target import percent_decode
from granian_d.interface.wsgi.file_wrapper import FileWrapper
from granian_d.interface.wsgi.tls import tls_variables

if TYPE_CHECKING:
    from granian_d.http.message import Fields, Peer, RequestHead

Environ = dict[str, Any]

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_PROTOCOLS: Final = {version: f"HTTP/{version}" for version in ("1.0", "1.1", "2", "3")}
_PERCENT: Final = 0x25
_SYS: Final = vars(sys)

# RFC 6265 5.4: cookie pairs are joined by a semicolon, all other lists by a comma.
_SEPARATORS: Final = {"HTTP_COOKIE": "; "}

# Keys that are remembered for names beyond the list below. A peer may fill the cache with names of
# its own: the others are then made anew each time, which is slower and nothing worse.
CACHED_KEYS: Final = 1024
CACHED_NAME_BYTES: Final = 64


def _roomy(template: Environ) -> Environ:
    """The same, in a table with room for the fields of a request.

    A copy of a dict has a table of the same size, so that it need not grow: that is a fifth of
    what an environ costs.
    """
    extra = 0
    size = sys.getsizeof(template)
    while sys.getsizeof(template) == size:
        extra += 1
        template[f"extra {extra}"] = ""
    for number in range(extra):
        del template[f"extra {number + 1}"]
    return template


def _key(name: bytes) -> str:
    """The key of a field; "" for one that is left out.

    With an underscore in its name it would have the key of its twin with hyphens, which a proxy
    in front may have set or filtered (RFC 3875 4.1.18 maps both to one).
    """
    if b"_" in name:
        return ""
    return "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


# The names that nearly every request has. Host is left out: it is the authority that counts.
_KEYS: Final = {
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
    b"host": "",
} | {
    name: _key(name)
    for name in (
        b"accept accept-charset accept-encoding accept-language authorization cache-control"
        b" connection cookie dnt expect forwarded if-match if-modified-since if-none-match"
        b" if-range if-unmodified-since origin pragma priority range referer sec-ch-ua"
        b" sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site"
        b" sec-fetch-user te traceparent tracestate transfer-encoding upgrade"
        b" upgrade-insecure-requests user-agent via x-forwarded-for x-forwarded-host"
        b" x-forwarded-port x-forwarded-prefix x-forwarded-proto x-real-ip x-request-id"
        b" x-requested-with"
    ).split()
}


class Surroundings:
    """What is the same for all requests of a worker.

    Args:
        root_path: where the application is mounted, "" or "/prefix".
        multithread: the application may be called by several threads at once.
        multiprocess: there are other workers.
    """

    __slots__ = ("_keys", "_prefix", "_template")

    def __init__(self, root_path: str, multithread: bool, multiprocess: bool) -> None:
        self._prefix = root_path.encode()
        self._keys = _KEYS.copy()
        self._template = _roomy(
            {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": self._prefix.decode("latin-1"),
                "PATH_INFO": "",
                "QUERY_STRING": "",
                "REQUEST_URI": "",
                "RAW_URI": "",
                "SERVER_NAME": "",
                "SERVER_PORT": "",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "SERVER_SOFTWARE": f"granian-d/{__version__}",
                "GATEWAY_INTERFACE": "CGI/1.1",
                "REMOTE_ADDR": "",
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.input": None,
                "wsgi.errors": None,
                "wsgi.multithread": multithread,
                "wsgi.multiprocess": multiprocess,
                "wsgi.run_once": False,
                "wsgi.input_terminated": True,
                "wsgi.file_wrapper": FileWrapper,
            }
        )

    def environ(self, head: RequestHead, peer: Peer, body: object) -> Environ:
        """The environ of one request, `body` being its wsgi.input."""
        template: Environ | None = peer.prepared
        if template is None:
            template = peer.prepared = self._prepare(peer)
        environ = template.copy()
        if not environ["SERVER_PORT"]:
            _name_by_authority(environ, head.authority, peer.scheme)
        raw_path = head.raw_path
        path = uri = raw_path.decode("latin-1")
        if self._prefix or _PERCENT in raw_path:
            path = self._path_info(raw_path)
        if head.query:
            query = head.query.decode("latin-1")
            uri = f"{uri}?{query}"
            environ["QUERY_STRING"] = query
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = path
        environ["REQUEST_URI"] = uri
        environ["RAW_URI"] = uri
        environ["wsgi.input"] = body
        environ["wsgi.errors"] = _SYS["stderr"]  # which may be replaced
        if head.version != "1.1":
            environ["SERVER_PROTOCOL"] = _PROTOCOLS[head.version]
        self._add_fields(environ, head.fields)
        if head.authority:
            environ["HTTP_HOST"] = head.authority.decode("latin-1")
        else:
            _add_host(environ, head.fields)
        if "CONTENT_LENGTH" in environ:  # as the engine understood it
            environ["CONTENT_LENGTH"] = str(head.content_length)
        return environ

    def _prepare(self, peer: Peer) -> Environ:
        """What the environs of one connection have in common."""
        server, client = peer.server, peer.client
        template = self._template.copy()
        template["wsgi.url_scheme"] = peer.scheme
        if server is not None and server[1] is not None:
            template["SERVER_NAME"] = server[0]
            template["SERVER_PORT"] = str(server[1])
        if client is not None:
            template["REMOTE_ADDR"] = client[0]
            template["REMOTE_PORT"] = str(client[1])
        if peer.tls is not None:
            template.update(tls_variables(peer.tls))
        return template

    def _path_info(self, raw_path: bytes) -> str:
        """The path behind the mount point.

        A path that does not lie below it is left alone: a proxy in front has taken the prefix
        off already, or sends us what is not ours.
        """
        path = percent_decode(raw_path)
        prefix = self._prefix
        if prefix and (path == prefix or path.startswith(prefix + b"/")):
            path = path[len(prefix) :]
        return path.decode("latin-1")

    def _add_fields(self, environ: Environ, fields: Fields) -> None:
        for name, value in fields:
            key = self._keys.get(name)
            if key is None:
                key = self._new_key(name)
            if not key:
                continue
            size = len(environ)
            text = value.decode("latin-1")
            before = environ.setdefault(key, text)
            if len(environ) == size:  # it is there already
                environ[key] = before + _SEPARATORS.get(key, ",") + text

    def _new_key(self, name: bytes) -> str:
        key = _key(name)
        if len(self._keys) < CACHED_KEYS and len(name) <= CACHED_NAME_BYTES:
            self._keys[name] = key
        return key


def _add_host(environ: Environ, fields: Fields) -> None:
    """HTTP_HOST where there is no authority: as a rule, there is no Host either."""
    hosts = values(fields, b"host")
    if hosts:
        environ["HTTP_HOST"] = b",".join(hosts).decode("latin-1")


def _name_by_authority(environ: Environ, authority: bytes, scheme: str) -> None:
    """SERVER_NAME and SERVER_PORT, which must never be empty, of a unix socket.

    It has neither; the client's view of us is the best there is.
    """
    name, colon, port = authority.decode("latin-1").rpartition(":")
    if not colon or not port.isdigit():
        name, port = authority.decode("latin-1").removesuffix(":"), ""
    environ["SERVER_NAME"] = name.strip("[]") or "localhost"
    environ["SERVER_PORT"] = port or _DEFAULT_PORTS[scheme]
