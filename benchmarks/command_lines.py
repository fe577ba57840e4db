"""How each server is started: its command line for a setup.

An option stands here only where its default would end a case early (a keep-alive time, a limit of
connections), where it turns off what the others do not do either, or where it picks the fastest
parts that the server has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.cases import Protocol

BACKLOG: Final = "2048"
SPARE_CONNECTIONS: Final = 1024
KEEP_ALIVE_S: Final = "75"
UVICORN_WS: Final = "websockets-sansio"  # the fastest of its three


@dataclass(frozen=True)
class Setup:
    """What one start of a server is told; `directory` is its own for that time."""

    port: int
    connections: int
    workers: int
    access_log: bool
    protocol: Protocol
    tls: bool
    mounted: bool
    directory: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        """The version of HTTP that is wanted: no server has to find it out."""
        return "2" if self.protocol == "h2" else "1"

    @property
    def http3(self) -> bool:
        return self.protocol == "h3"

    @property
    def websocket(self) -> bool:
        return self.protocol == "websocket"

    @property
    def mount(self) -> str:
        return str(self.directory / "static")

    @property
    def certificate(self) -> str:
        return str(self.directory / "certificate.pem")

    @property
    def key(self) -> str:
        return str(self.directory / "key.pem")

    @property
    def room(self) -> str:
        """The limit of connections, where a server has one. Some reserve memory for each."""
        return str(self.connections + SPARE_CONNECTIONS)


def application(interface: str) -> str:
    return f"benchmarks.apps.{interface}:app"


def granian_d(interface: str) -> Callable[[Setup], list[str]]:
    def arguments(setup: Setup) -> list[str]:
        return [
            *(application(interface), "--interface", interface),
            *("--host", "127.0.0.1", "--port", str(setup.port), "--workers", str(setup.workers)),
            *(("--blocking-threads", "1") if interface == "wsgi" else ()),
            *("--backlog", BACKLOG, "--backpressure", setup.room),
            *("--http1-keep-alive-timeout", KEEP_ALIVE_S, "--http", setup.http),
            *(("--ws",) if setup.websocket else ("--no-ws",)),
            *(("--http3",) if setup.http3 else ()),
            *(("--access-log",) if setup.access_log else ()),
            *_certificate(setup, "--ssl-certificate"),
            *_mount(setup),
        ]

    return arguments


def granian(interface: str) -> Callable[[Setup], list[str]]:
    def arguments(setup: Setup) -> list[str]:
        return [
            *(application(interface), "--interface", interface, "--loop", "uvloop"),
            *("--host", "127.0.0.1", "--port", str(setup.port), "--workers", str(setup.workers)),
            *("--runtime-threads", "1", "--blocking-threads", "1", "--http", setup.http),
            *(("--ws",) if setup.websocket else ("--no-ws",)),
            *("--backlog", BACKLOG, "--backpressure", setup.room),
            *("--http1-header-read-timeout", "60000"),  # its keep-alive time; more it does not take
            *(("--access-log",) if setup.access_log else ()),
            *_certificate(setup, "--ssl-certificate"),
            *_mount(setup),
        ]

    return arguments


def _mount(setup: Setup) -> tuple[str, ...]:
    """Granian's options, and so ours."""
    return ("--static-path-mount", setup.mount) if setup.mounted else ()


def _certificate(setup: Setup, option: str, of_key: str = "--ssl-keyfile") -> tuple[str, ...]:
    """The options of a server that has one for the certificate and one for its key."""
    return (option, setup.certificate, of_key, setup.key) if setup.tls else ()


def uvicorn(setup: Setup) -> list[str]:
    return [
        *(application("asgi"), "--loop", "uvloop", "--http", "httptools"),
        *("--ws", UVICORN_WS if setup.websocket else "none", "--no-proxy-headers"),
        *("--host", "127.0.0.1", "--port", str(setup.port), "--workers", str(setup.workers)),
        *("--backlog", BACKLOG, "--timeout-keep-alive", KEEP_ALIVE_S),
        *(() if setup.access_log else ("--no-access-log",)),
        *_certificate(setup, "--ssl-certfile"),
    ]


def hypercorn(setup: Setup) -> list[str]:
    return [
        *(application("asgi"), "--worker-class", "uvloop"),
        *("--bind", setup.address, "--workers", str(setup.workers)),
        *("--backlog", BACKLOG, "--keep-alive", KEEP_ALIVE_S),
        *(("--access-logfile", "-") if setup.access_log else ()),
        *(("--quic-bind", setup.address) if setup.http3 else ()),
        *_certificate(setup, "--certfile", "--keyfile"),
    ]


def gunicorn(interface: str, worker: str, *more: str) -> Callable[[Setup], list[str]]:
    def arguments(setup: Setup) -> list[str]:
        return [
            *(application(interface), "--worker-class", worker, *more, "--no-control-socket"),
            *("--bind", setup.address, "--workers", str(setup.workers)),
            *("--backlog", BACKLOG, "--worker-connections", setup.room),
            *("--keep-alive", KEEP_ALIVE_S),
            *(("--access-logfile", "-") if setup.access_log else ()),
        ]

    return arguments


def fastpysgi(interface: str) -> Callable[[Setup], list[str]]:
    def arguments(setup: Setup) -> list[str]:
        launcher = ["-m", "benchmarks.apps.under_fastpysgi"]
        return [*launcher, f"benchmarks.apps.{interface}", str(setup.port), str(setup.workers)]

    return arguments


NGINX: Final = """
daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log {access_log};
    sendfile on;
    tcp_nopush on;
    keepalive_timeout {keep_alive};
    keepalive_requests 1000000000;
    default_type text/plain;
    server {{
        listen {address} backlog={backlog};
        root {directory};
        location = /hello {{ return 200 "Hello, world!"; }}
    }}
}}
"""


def nginx(setup: Setup) -> list[str]:
    config = setup.directory / "nginx.conf"
    config.write_text(
        NGINX.format(
            workers=setup.workers,
            directory=setup.directory,
            connections=setup.room,
            access_log=setup.directory / "access.log" if setup.access_log else "off",
            keep_alive=KEEP_ALIVE_S,
            address=setup.address,
            backlog=BACKLOG,
        )
    )
    return ["-e", "stderr", "-p", str(setup.directory), "-c", str(config)]
