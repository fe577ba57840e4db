"""The options of what stands beside the application: tables of the model, by its rules."""

# No `from __future__ import annotations`: here annotations are data, pydantic evaluates them.

import ipaddress
import re

from pydantic import field_validator

from granian_d.plan.model import SymlinkPolicy
from granian_d.settings.fields import Table, duration, option
from granian_d.settings.protocols import TEN_YEARS_S
from granian_d.settings.refusal import Refusal


class StaticPath(Table):
    """Static files."""

    route: tuple[str, ...] = option(
        ("/static",),
        "Path at which files are served without the application; may come several times, once for"
        " each mount.",
        kind="prefixes",
    )
    mount: tuple[str, ...] = option(
        (),
        "Directory whose files are served, relative to the TOML file that names it; may come"
        " several times.",
        kind="directories",
        example=["static"],
    )
    dir_to_file: str | None = option(
        None, "Name of the file that answers for a directory.", example="index.html"
    )
    expires: float = duration(
        86400,
        "Time for which caches may keep a file; 0 says nothing about it.",
        ge=0,
        le=TEN_YEARS_S,
    )
    precompressed: bool = option(
        True, "Send FILE.br, FILE.zst or FILE.gz, where there is one, to who takes it for FILE."
    )
    symlinks: SymlinkPolicy = option(
        "inside",
        "Symbolic links that are followed: none, those that stay inside of the mount, or all.",
    )

    @field_validator("route")
    @classmethod
    def _normalize_routes(cls, routes: tuple[str, ...]) -> tuple[str, ...]:
        for route in routes:
            if not route.startswith("/"):
                raise Refusal(f'"{route}" does not begin with /')
        return tuple(route.rstrip("/") or "/" for route in routes)

    @field_validator("dir_to_file")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and ("/" in name or name in {".", ".."}):
            raise Refusal(f'"{name}" is not the name of a file in a directory')
        return name


class Metrics(Table):
    """Metrics."""

    enabled: bool = option(
        False,
        "Tell Prometheus how the service is, at /metrics on a port of its own.",
        flag="metrics",
        reload="live",
    )
    scrape_interval: float = duration(
        15,
        "Least time between two looks at what costs something to see, such as memory; counters are"
        " those of the moment.",
        ge=1,
        le=60,
        reload="live",
    )
    address: str = option("127.0.0.1", "IP address at which metrics are read.", reload="live")
    port: int = option(9090, "Port at which metrics are read.", ge=0, le=65535, reload="live")

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        try:
            return str(ipaddress.ip_address(address.removeprefix("[").removesuffix("]")))
        except ValueError as error:
            raise Refusal(f'"{address}" is not an IP address') from error


class Reload(Table):
    """Development."""

    enabled: bool = option(
        False,
        "Reload when files change, and show the tracebacks of exceptions to clients: for"
        " development only.",
        flag="reload",
        env="RELOAD",
    )
    paths: tuple[str, ...] = option(
        (),
        "File or directory that is watched, relative to the TOML file that names it, instead of the"
        " directory that is imported from; may come several times.",
        kind="directories",
        reload="live",
        example=["src"],
    )
    ignore_dirs: tuple[str, ...] = option(
        (),
        "Name of a directory that is not watched; may come several times.",
        kind="strings",
        reload="live",
        example=["node_modules"],
    )
    ignore_patterns: tuple[str, ...] = option(
        (),
        "Regular expression; files whose names it matches are not watched; may come several times.",
        kind="strings",
        reload="live",
        example=[r"\.tmp$"],
    )
    ignore_paths: tuple[str, ...] = option(
        (),
        "File or directory that is not watched; may come several times.",
        kind="directories",
        reload="live",
        example=["var"],
    )
    tick: int = option(
        50,
        "Time for which changes are gathered.",
        unit="milliseconds",
        ge=50,
        le=5000,
        reload="live",
    )
    ignore_worker_failure: bool = option(
        False,
        "Stay when the application cannot be started, say why to clients, and wait for the next"
        " change.",
    )

    @field_validator("ignore_patterns")
    @classmethod
    def _check_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise Refusal(f'"{pattern}" is not a regular expression: {error}') from error
        return patterns
