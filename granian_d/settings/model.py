"""Every option of granian-d, once.

One field is one option: its name is the TOML key, its table the TOML table, its type the kind of
its value, and `fields.option` holds its default, its help and its bounds. Derived from it, and
written nowhere else: the flag, the variable, the sample file, the reference, `--help`, every error
line, and the tests that each option is read from everywhere and reaches the Plan.

Rules of this file: no I/O and nothing of the machine (users, directories and host names are looked
up by `resolve`); a validator judges one value, and what concerns two options is judged in `resolve`
too, where it is known who wrote them. A name or variable is spelled out only where Granian's
differs from the derived one.
"""

# No `from __future__ import annotations`: here annotations are data, pydantic evaluates them.

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, Self

from pydantic import InstanceOf, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from granian_d.observe.access_log import check_format
from granian_d.plan.model import (
    MOST_DRAINING,
    MOST_WORKERS,
    EngineName,
    ForwardedFields,
    HttpMode,
    InterfaceName,
    LogFormat,
    LogLevel,
    LoopName,
)
from granian_d.settings.addresses import Address, check_host, split_listen
from granian_d.settings.fields import Table, duration, kind_of, option
from granian_d.settings.kinds import PERMISSION_BITS, Text
from granian_d.settings.protocols import Http1, Http2, Request, Response, WebSocket
from granian_d.settings.refusal import Refusal
from granian_d.settings.tls_options import Certificate, Ssl

# What may stand in a request line (RFC 9112 3.2.1), without a query.
_PATH: Final = re.compile(r"/[!$%&'()*+,\-./0-9:;=@A-Z_a-z~]*")


class Listen(Table):
    """One entry of `listen`: a string `ADDRESS[,OPTION=VALUE]...`, or a table."""

    address: InstanceOf[Address] = option(..., "Where to listen.")
    mode: int | None = option(
        None, "Mode of a Unix socket.", kind="octal", ge=0, le=PERMISSION_BITS, example=0o660
    )
    owner: str | None = option(None, "Owner of a Unix socket, name or number.", example="www-data")
    group: str | None = option(None, "Group of a Unix socket, name or number.", example="www-data")
    backlog: int | None = option(
        None, "Length of this socket's queue, instead of `backlog`.", ge=128, le=65535, example=4096
    )
    proxy_protocol: bool | None = option(
        None, "Whether connections begin with a PROXY header, instead of `proxy_protocol`."
    )
    tls: bool | None = option(
        None, "Begin connections with TLS; as `ssl.certificate` is given, unless it is said."
    )

    @model_validator(mode="before")
    @classmethod
    def _split(cls, written: Any) -> Any:
        if not isinstance(written, str):
            return written
        fields = split_listen(written)
        for name in fields:
            if name not in cls.model_fields:
                known = ", ".join(list(cls.model_fields)[1:])
                raise Refusal(f'"{name}" is not an option of an address; there are {known}')
        return {name: Text(value) for name, value in fields.items()}

    @model_validator(mode="after")
    def _judge(self) -> Self:
        for name in ("mode", "owner", "group"):
            if getattr(self, name) is not None and not self._has_inode():
                raise Refusal(f"{self.address} has no {name}: only a Unix socket with a path has")
        if self.backlog is not None and self.address.kind in {"fd", "systemd"}:
            raise Refusal(f"{self.address} has the backlog that it was opened with")
        return self

    def _has_inode(self) -> bool:
        return self.address.kind == "unix" and not self.address.path.startswith("@")

    def __str__(self) -> str:
        return self.text({})

    def text(self, instead: Mapping[str, str]) -> str:
        """The entry as an argument, with other texts for the fields named in `instead`."""
        texts = {
            name: kind.text(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if (kind := kind_of(field)) and getattr(self, name) is not None
        }
        address, *options = (texts | dict(instead)).items()
        return ",".join([address[1], *(f"{name}={text}" for name, text in options)])


class Log(Table):
    """Log of the daemon."""

    enabled: bool = option(True, "Write a log.", flag="log")
    level: LogLevel = option(
        "info",
        "Least severity that is written.",
        aliases={"warn": "warning", "notset": "debug"},
    )
    format: LogFormat = option(
        "auto", "Form of a record; auto is text, with priority prefixes when the journal reads it."
    )
    file: str | None = option(
        None,
        "File to write to, below $LOGS_DIRECTORY if relative, instead of standard error.",
        kind="path",
        example="error.log",
    )


class AccessLog(Table):
    """Log of requests."""

    enabled: bool = option(
        False, "Write one line for each request.", flag="access-log", env="LOG_ACCESS_ENABLED"
    )
    fmt: str = option(
        '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f',
        "Form of a line, a %-format over atoms.",
        env="LOG_ACCESS_FMT",
    )
    file: str | None = option(
        None,
        "File to write to, below $LOGS_DIRECTORY if relative, instead of standard output.",
        kind="path",
        example="access.log",
    )

    @field_validator("fmt")
    @classmethod
    def _check_fmt(cls, fmt: str) -> str:
        try:
            check_format(fmt)
        except ValueError as error:
            raise Refusal(str(error)) from error
        return fmt


class Settings(Table, BaseSettings):
    """All options. The groups are TOML tables, the rest is the top of the file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=False
    )

    app: str = option(
        ...,
        "The application: module:attribute or path/to/file.py:attribute; the attribute is app"
        " unless given.",
        kind="application",
        example="main:app",
    )
    config: str | None = option(
        None,
        "Read options from this TOML file.",
        kind="path",
        reload="restart",
        short="c",
        in_file=False,
    )
    interface: InterfaceName = option("rsgi", "What the application speaks.", example="asgi")
    factory: bool = option(False, "Call the target to get the application.")
    working_dir: str | None = option(
        None,
        "Directory to change to and to import from, relative to the TOML file that names it.",
        kind="path",
        example="/srv/app",
    )
    loop: LoopName = option("auto", "Event loop; auto is uvloop where it is installed.")
    engine: EngineName = option(
        "auto",
        "What speaks HTTP: the compiled engine or the one in Python; auto is native where it was"
        " compiled.",
    )
    http: HttpMode = option(
        "auto",
        "Versions of HTTP to speak; auto finds out from the peer's first bytes, ALPN or Upgrade.",
    )
    websockets: bool = option(
        True,
        "Offer WebSockets to the application, unless it speaks wsgi.",
        flag="ws",
    )
    url_path_prefix: str = option(
        "",
        "Path that the application is mounted at (root_path, SCRIPT_NAME).",
        kind="prefix",
        example="/prefix",
    )

    listen: tuple[Listen, ...] = option(
        (),
        "Address to listen on, instead of host, port and uds; may come several times.",
        kind="addresses",
        example=["127.0.0.1:8000", "unix:app.sock,mode=0660"],
    )
    host: str = option("127.0.0.1", "Address or host name to listen on.")
    port: int = option(8000, "Port to listen on; 0 is any free one.", ge=0, le=65535)
    uds: str | None = option(
        None,
        "Unix socket to listen on, below $RUNTIME_DIRECTORY if relative, instead of host and port.",
        kind="path",
        example="app.sock",
    )
    uds_permissions: int | None = option(
        None,
        "Mode of Unix sockets that have none of their own.",
        kind="octal",
        ge=0,
        le=PERMISSION_BITS,
        example=0o660,
    )
    backlog: int = option(
        1024, "Length of the queue of connections not accepted yet.", ge=128, le=65535
    )

    proxy_protocol: bool = option(
        False,
        "Connections begin with a PROXY header, version 1 or 2, that says whose they are; others"
        " are cut. Only proxies may be able to connect then.",
    )
    forwarded_allow_ips: tuple[str, ...] = option(
        (),
        "Proxies that are believed when they say for whom they ask: addresses, networks, unix for"
        " Unix sockets, * for everybody.",
        kind="proxies",
        example=("127.0.0.1", "::1", "10.0.0.0/8", "unix"),
    )
    forwarded_fields: ForwardedFields = option(
        "x-forwarded",
        "Fields in which they say so: X-Forwarded-For, -Proto, -Host and -Port, or Forwarded.",
    )

    workers: int = option(
        1, "Number of processes that serve.", ge=1, le=MOST_WORKERS, reload="live"
    )
    workers_min: int | None = option(
        None,
        "Fewest workers, where their number follows the load.",
        ge=1,
        le=MOST_WORKERS,
        reload="live",
        example=1,
    )
    workers_max: int | None = option(
        None,
        "Most workers, where their number follows the load.",
        ge=1,
        le=MOST_WORKERS,
        reload="live",
        example=8,
    )
    preload: bool = option(
        False,
        "Import the application once for each generation, in a mold that forks its workers.",
    )
    refork_after: int = option(
        0,
        "Requests of a worker after which it becomes the mold of the others, once for each"
        " generation; 0 is never.",
        unit="requests",
        ge=0,
        reload="live",
        example=1000,
    )
    blocking_threads: int | None = option(
        None, "Threads of a worker that run a WSGI application.", ge=1, example=1
    )
    blocking_threads_idle_timeout: float = duration(
        30, "Time after which an idle one of these threads ends.", ge=5, le=600
    )
    backpressure: int | None = option(
        None, "Connections that a worker holds at once.", ge=1, example=1024
    )

    workers_startup_timeout: float = duration(
        60, "Time for a worker to become ready.", ge=1, reload="live"
    )
    workers_kill_timeout: float = duration(
        30,
        "Time for a worker to finish its requests before it is killed.",
        ge=1,
        le=1800,
        reload="live",
    )
    workers_stall_timeout: float = duration(
        30,
        "Time a worker may make no progress before it is replaced; 0 is no limit.",
        ge=0,
        reload="live",
    )
    workers_stream_timeout: float | None = duration(
        None,
        "Time for a worker that leaves to finish answers that have begun and WebSockets.",
        ge=1,
        reload="live",
        example=300,
    )
    drain_delay: float = duration(
        0,
        "Time before a stop in which `health` says 503 and requests are served as always.",
        ge=0,
        le=600,
        reload="live",
    )
    idle_exit: float = duration(
        0,
        "Time without a connection after which the daemon leaves, where the service manager holds"
        " its sockets; 0 is never.",
        ge=0,
        reload="live",
    )
    surge: int | None = option(
        None,
        "Processes beyond the number of workers while they are replaced.",
        ge=1,
        reload="live",
        example=1,
    )
    canary: bool = option(
        True,
        "Start one worker of a new generation, and the others when it serves.",
        reload="live",
    )
    max_generations: int = option(
        3,
        "Generations that may drain at once; a reload beyond them ends the oldest one's streams.",
        ge=1,
        le=MOST_DRAINING,
        reload="live",
    )
    warmup: str = option(
        "",
        "Path that a worker asks its application for before it is ready; it must not fail.",
        kind="prefix",
        example="/warmup",
    )
    health: str = option(
        "",
        "Path at which the daemon itself answers how the service is: 200, or 503 before a stop.",
        kind="prefix",
        example="/-/health",
    )

    workers_max_requests: int = option(
        0,
        "Requests after which a worker is replaced; 0 is no limit.",
        unit="requests",
        ge=0,
        reload="live",
        example=100000,
    )
    workers_max_requests_jitter: int | None = option(
        None,
        "Most requests by which a worker's limit is lower than that, each one's by another number.",
        unit="requests",
        ge=0,
        reload="live",
        example=10000,
    )
    workers_lifetime: float | None = duration(
        None, "Time after which a worker is replaced.", ge=1, reload="live", example=21600
    )
    workers_lifetime_jitter: float | None = duration(
        None,
        "Most time by which a worker's life is shorter than that, each one's by another time.",
        ge=0,
        reload="live",
        example=1800,
    )
    workers_max_rss: int | None = option(
        None,
        "Resident memory above which a worker is replaced.",
        unit="MiB",
        ge=1,
        reload="live",
        example=512,
    )
    workers_max_pss: int | None = option(
        None,
        "Memory above which a worker is replaced, of what it shares with others only its part.",
        unit="MiB",
        ge=1,
        reload="live",
        example=256,
    )
    rss_sample_interval: float = duration(
        30, "Time between two looks at the memory of workers.", ge=1, le=300, reload="live"
    )
    rss_samples: int = option(
        1, "Looks in a row that must find a worker's memory above its limit.", ge=1, reload="live"
    )

    request_timeout: float = duration(
        0,
        "Time for a request, after which its stack is logged and its task cancelled; 0 is no"
        " limit.",
        ge=0,
    )
    request_kill_timeout: float = duration(
        0,
        "Time for a request, after which its worker is replaced; 0 is no limit.",
        ge=0,
        reload="live",
    )

    control_socket: str | None = option(
        None,
        "Socket for granianctl, below $RUNTIME_DIRECTORY if relative.",
        kind="path",
        reload="restart",
        example="control.sock",
    )
    process_name: str | None = option(
        None, "Name in the titles of the processes.", reload="restart", example="app"
    )
    pid_file: str | None = option(
        None,
        "File that holds the master's process id, below $RUNTIME_DIRECTORY if relative.",
        kind="path",
        reload="restart",
        example="app.pid",
    )
    user: str | None = option(None, "User that workers become, name or number.", example="www-data")
    group: str | None = option(
        None,
        "Group that workers become, name or number, instead of the user's.",
        example="www-data",
    )
    umask: int | None = option(
        None,
        "File mode creation mask of workers.",
        kind="octal",
        ge=0,
        le=PERMISSION_BITS,
        example=0o027,
    )

    http1: Http1 = Http1()
    http2: Http2 = Http2()
    websocket: WebSocket = WebSocket()
    request: Request = Request()
    response: Response = Response()
    ssl: Ssl = Ssl()
    log: Log = Log()
    access_log: AccessLog = AccessLog()

    @field_validator("app")
    @classmethod
    def _name_the_attribute(cls, app: str) -> str:
        module, colon, attribute = app.partition(":")
        attribute = attribute if colon else "app"
        is_path = "/" in module or module.endswith(".py")
        dotted_names = attribute if is_path else f"{module}.{attribute}"
        if not all(name.isidentifier() for name in dotted_names.split(".")):
            raise ValueError(app)
        return f"{module}:{attribute}"

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        check_host(host)
        return host

    @field_validator("warmup", "health")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if path and not _PATH.fullmatch(path):
            raise ValueError(path)
        return path

    @field_validator("url_path_prefix")
    @classmethod
    def _normalize_prefix(cls, prefix: str) -> str:
        if prefix and not prefix.startswith("/"):
            raise ValueError(prefix)
        return prefix.rstrip("/")


# What the entries of a list are made of.
ENTRIES: Final[Mapping[str, type[Table]]] = {"listen": Listen, "ssl.sni": Certificate}

# The sections of the top of the file, by their first option.
SECTIONS: Final = {
    "app": "Application",
    "listen": "Listening",
    "proxy_protocol": "Behind a proxy",
    "workers": "Workers",
    "workers_startup_timeout": "Life cycle",
    "workers_max_requests": "Recycling",
    "request_timeout": "Requests that do not end",
    "control_socket": "Process",
}


@dataclass(frozen=True, slots=True)
class Computed:
    """A default that depends on other options."""

    note: str
    value: Callable[[Any], float | str]


# In the order in which they are filled in.
COMPUTED: Final = {
    "backpressure": Computed(
        "backlog // workers, at least 1", lambda s: max(1, s.backlog // s.workers)
    ),
    "blocking_threads": Computed(
        "with wsgi backpressure // 2, at least 1; else 1",
        lambda s: max(1, s.backpressure // 2) if s.interface == "wsgi" else 1,
    ),
    "surge": Computed("workers", lambda s: s.workers),
    "workers_min": Computed("workers", lambda s: s.workers),
    "workers_max": Computed("workers", lambda s: s.workers),
    "workers_stream_timeout": Computed("workers_kill_timeout", lambda s: s.workers_kill_timeout),
    "workers_max_requests_jitter": Computed(
        "a tenth of workers_max_requests", lambda s: s.workers_max_requests // 10
    ),
    "workers_lifetime_jitter": Computed(
        "a tenth of workers_lifetime", lambda s: (s.workers_lifetime or 0.0) / 10
    ),
    "process_name": Computed(
        "the TOML file's name without .toml, else app",
        lambda s: PurePath(s.config).stem if s.config else s.app,
    ),
}


def complete(settings: Settings) -> Settings:
    """The settings with every computed default filled in."""
    for name, computed in COMPUTED.items():
        if getattr(settings, name) is None:
            settings = settings.model_copy(update={name: computed.value(settings)})
    return settings
