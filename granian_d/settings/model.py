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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, TypeVar

from pydantic import field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from granian_d.observe.access_log import check_format
from granian_d.plan.model import (
    AccessFormat,
    LogFormat,
    LogLevel,
)
from granian_d.settings.fields import Table, option
from granian_d.settings.kinds import PERMISSION_BITS
from granian_d.settings.protocols import Http1, Http2, Quic, Request, Response, WebSocket
from granian_d.settings.refusal import Refusal
from granian_d.settings.serving import Listen
from granian_d.settings.tables import Metrics, Reload, StaticPath
from granian_d.settings.tls_options import Certificate, Ssl
from granian_d.settings.workers import Workers

_T = TypeVar("_T")


class Log(Table):
    """Log of the daemon."""

    enabled: bool = option(True, "Write a log.", flag="log")
    level: LogLevel = option(
        "info",
        "Least severity that is written.",
        aliases={"warn": "warning", "notset": "debug"},
    )
    format: LogFormat = option(
        "auto", "Form of a record; auto is text, or fields when the journal reads standard error."
    )
    file: str | None = option(
        None,
        "File to write to, below $LOGS_DIRECTORY if relative, instead of standard error.",
        kind="path",
        example="error.log",
    )
    config: str | None = option(
        None,
        "JSON file for Python's logging.config.dictConfig, whose loggers _granian and"
        " granian.access then write both logs; its keys replace those of Granian's own.",
        kind="file",
        example="logging.json",
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
    format: AccessFormat = option(
        "text",
        "Form of a record; json has all fields, whatever fmt says; journal sends an entry with"
        " fields, and writes a line only where the journal does not take it.",
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


class Settings(Workers, BaseSettings):
    """All options. The groups are TOML tables, the rest is the top of the file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=False
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

    static_path: StaticPath = StaticPath()
    http1: Http1 = Http1()
    http2: Http2 = Http2()
    quic: Quic = Quic()
    websocket: WebSocket = WebSocket()
    request: Request = Request()
    response: Response = Response()
    ssl: Ssl = Ssl()
    log: Log = Log()
    access_log: AccessLog = AccessLog()
    metrics: Metrics = Metrics()
    reload: Reload = Reload()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Those that are handed over, as `sources`; none of pydantic-settings' own."""
        return tuple(init_settings()["sources"])


# What the entries of a list are made of.
ENTRIES: Final[Mapping[str, type[Table]]] = {"listen": Listen, "ssl.sni": Certificate}

# The sections of the top of the file, by their first option.
SECTIONS: Final = {
    "app": "Application",
    "listen": "Listening",
    "proxy_protocol": "Behind a proxy",
    "workers": "Workers",
    "respawn_failed_workers": "Life cycle",
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
    # In development nobody wants to wait for what the code of before still has to say, and who
    # looks at a request with a debugger stops its worker's loop.
    "workers_kill_timeout": Computed(
        "30; 3 with reload", lambda s: 3.0 if s.reload.enabled else 30.0
    ),
    "workers_stream_timeout": Computed(
        "workers_kill_timeout; 1 with reload",
        lambda s: 1.0 if s.reload.enabled else s.workers_kill_timeout,
    ),
    "workers_stall_timeout": Computed(
        "30; 0 with reload", lambda s: 0.0 if s.reload.enabled else 30.0
    ),
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


def given(value: _T | None) -> _T:
    """A value that is there because `complete` has filled it in."""
    assert value is not None
    return value
