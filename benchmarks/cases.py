"""What is asked of every server: one row a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.apps.answers import FILE_BYTES, HELLO, ONE_MIB, TEN_KIB

FILE_CONTENT: Final = (TEN_KIB * 5)[:FILE_BYTES]

LOAD: Final = ("rate", "cpu_us", "p50_us", "p99_us", "pss_kib", "uss_kib", "busy")
LOGGED: Final = (*LOAD, "logged")
H2: Final = ("rate", "cpu_us", "mean_us", "pss_kib", "uss_kib", "busy")
IDLE: Final = ("pss_per_connection_b", "uss_per_connection_b", "pss_kib", "uss_kib")


Protocol = Literal["http/1.1", "h2", "h3", "websocket"]


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: as the command line and the goals name it.
        title: as the report names it.
        path: of the request.
        answer: the body that is expected, always with a 200.
        body: of the request; None is a GET.
        script: wrk's, in benchmarks/wrk; it sends the same method and body.
        protocol: what is spoken, and by that who loads: wrk, h2load, h3_load or ws_load.
        tls: with a certificate of the run's own; HTTP/3 has one always.
        connections: kept under load, or held idle.
        in_flight: requests or messages under way on each of them.
        mounted: the answer is a file that the server has below /static, and no application's.
        idle: connections are held without requests, and wrk has no part in it.
        shows: the figures of its table, in order.
    """

    name: str
    title: str
    path: str = "/hello"
    answer: bytes = HELLO
    body: bytes | None = None
    script: str = "report.lua"
    protocol: Protocol = "http/1.1"
    tls: bool = False
    connections: int = 64
    in_flight: int = 1
    workers: int = 1
    access_log: bool = False
    mounted: bool = False
    idle: bool = False
    shows: tuple[str, ...] = LOAD

    @property
    def secured(self) -> bool:
        return self.tls or self.protocol == "h3"

    @property
    def needs(self) -> frozenset[str]:
        """What a server must be able to speak, beyond HTTP/1.1."""
        wanted = {self.protocol: True, "tls": self.tls, "static": self.mounted, "http/1.1": False}
        return frozenset(name for name, needed in wanted.items() if needed)


CASES: Final = (
    Case("hello", "Hello: 13 bytes, 64 connections"),
    Case("get-10k", "GET of 10 KiB", "/10k", TEN_KIB),
    Case("post-10k", "POST of 10 KiB, echoed", "/echo", TEN_KIB, TEN_KIB, "post.lua"),
    Case("headers", "Hello with a browser's 12 header fields", script="browser.lua"),
    Case("pause", "10 ms of waiting, 512 connections", "/pause", connections=512),
    Case("file-50k", "File of 50 KiB", "/file", FILE_CONTENT),
    Case("static-50k", "Static file of 50 KiB", "/static/file", FILE_CONTENT, mounted=True),
    Case("static-1m", "Static file of 1 MiB", "/static/file", ONE_MIB, mounted=True),
    Case("access-log", "Hello with the access log on", access_log=True, shows=LOGGED),
    Case("two-workers", "Hello with two workers", workers=2),
    Case("four-workers", "Hello with four workers, for their memory", workers=4),
    Case("close", "Hello, a new connection for each request", script="close.lua"),
    Case(
        "h2",
        "HTTP/2: hello, 16 connections with 16 streams each",
        protocol="h2",
        connections=16,
        in_flight=16,
        shows=H2,
    ),
    Case(
        "websocket",
        "WebSocket: echo of 32 bytes, 32 connections with 8 messages under way",
        protocol="websocket",
        connections=32,
        in_flight=8,
    ),
    Case("tls", "TLS: hello on 64 connections that are kept", tls=True),
    *(
        Case(
            f"h3-{streams}",
            f"HTTP/3: hello, one connection, {streams} at a time",
            protocol="h3",
            connections=1,
            in_flight=streams,
        )
        for streams in (1, 10, 100)
    ),
    Case(
        "h3-many",
        "HTTP/3: hello, 16 connections with 16 streams each",
        protocol="h3",
        connections=16,
        in_flight=16,
    ),
    Case(
        "h3-get-1m",
        "HTTP/3: GET of 1 MiB, 4 at a time on one connection",
        "/1m",
        ONE_MIB,
        protocol="h3",
        connections=1,
        in_flight=4,
    ),
    Case(
        "h3-post-1m",
        "HTTP/3: POST of 1 MiB, 4 at a time on one connection",
        "/size",
        str(len(ONE_MIB)).encode(),
        ONE_MIB,
        protocol="h3",
        connections=1,
        in_flight=4,
    ),
    Case("idle", "10 000 idle connections", connections=10_000, idle=True, shows=IDLE),
)
