"""Options: the application, and where and how it is reached. See `model` for the rules."""

# No `from __future__ import annotations`: here annotations are data, pydantic evaluates them.

from collections.abc import Mapping
from typing import Any, Self

from pydantic import InstanceOf, field_validator, model_validator

from granian_d.plan.model import (
    EngineName,
    ForwardedFields,
    HttpMode,
    InterfaceName,
    LifespanEnd,
    LoopName,
    TaskImplementation,
)
from granian_d.settings.addresses import Address, check_host, split_listen
from granian_d.settings.fields import Table, kind_of, option
from granian_d.settings.kinds import PERMISSION_BITS, Text
from granian_d.settings.refusal import Refusal


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
    http3: bool | None = option(
        None, "Whether to speak HTTP/3, too, at the UDP port of that number, instead of `http3`."
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


class Serving(Table):
    """What is served, and where."""

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
        kind="directory",
        example="/srv/app",
    )
    venv: str | None = option(
        None,
        "Virtual environment that the application is installed in, where granian-d itself is in"
        " another one; relative to the TOML file that names it.",
        kind="directory",
        example="/srv/app/.venv",
    )
    env_files: tuple[str, ...] = option(
        (),
        "File with variables for the application's environment, relative to the TOML file that"
        " names it; what is in the environment already is kept; may come several times.",
        kind="files",
        example=[".env"],
    )
    loop: LoopName = option(
        "auto", "Event loop; auto is the first of rloop, uvloop and asyncio that is installed."
    )
    task_impl: TaskImplementation = option(
        "asyncio",
        "No effect: calls that never wait need no task here, and others have asyncio's.",
        inert=True,
    )
    engine: EngineName = option(
        "auto",
        "What speaks HTTP: the compiled engine or the one in Python; auto is native where it was"
        " compiled.",
    )
    http: HttpMode = option(
        "auto",
        "Versions of HTTP to speak; auto finds out from the peer's first bytes, ALPN or Upgrade.",
    )
    http3: bool = option(
        False,
        "Speak HTTP/3, too, at the UDP port of each TCP port with TLS; needs granian-d[http3].",
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
    lifespan_shutdown: LifespanEnd = option(
        "drained",
        "When an ASGI application is told to shut down: behind its last request, or with the"
        " signal, so that it can end its streams.",
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

    @field_validator("url_path_prefix")
    @classmethod
    def _normalize_prefix(cls, prefix: str) -> str:
        if prefix and not prefix.startswith("/"):
            raise ValueError(prefix)
        return prefix.rstrip("/")
