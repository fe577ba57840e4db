"""Where to listen: from the settings' addresses to one ListenerPlan for each socket.

Host names are looked up here, relative paths are completed, and sockets that systemd passed take
the place that the unit meant them to have:

    `listen`       names inherited sockets   names none            is not given
    sockets passed just these and the rest   all and the rest      all, and nothing else
    none passed    an error                  just `listen`         uds, or host and port
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import ListenError
from granian_d.plan import ListenerPlan
from granian_d.settings.addresses import Address
from granian_d.settings.identity import find_gid, find_uid
from granian_d.settings.quic import speaks_http3
from granian_d.settings.serving import Listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.settings.load import Loaded
    from granian_d.settings.toml_lines import KeyPath

_FIRST_INHERITED_FD: Final = 3  # SD_LISTEN_FDS_START
_LONGEST_PATH_BYTES: Final = 107  # sun_path without its NUL, unix(7)
_EVERY_SOCKET: Final = Listen(address=Address(kind="systemd"))


def plan_listeners(loaded: Loaded) -> tuple[ListenerPlan, ...]:
    """One plan for each socket.

    Raises:
        ConfigError: an inherited socket, user or group does not exist, or an address comes twice.
        ListenError: a host name cannot be resolved (now; the next start may be luckier).
    """
    plans: dict[str, ListenerPlan] = {}
    open_already: set[int] = set()
    for path, entry in _entries(loaded):
        for address in _sockets(loaded, path, entry.address):
            plan = _plan(loaded, path, entry, address)
            fds = _open_fds(address, loaded.surroundings.inherited or ())
            if plan.key in plans or fds & open_already:
                raise loaded.refusal(path, f"{plan.key} is listened on already")
            plans[plan.key] = plan
            open_already |= fds
    return tuple(plans.values())


def unbound(loaded: Loaded) -> list[str]:
    """Warnings about host, port or uds that somebody wrote and that inherited sockets replace."""
    if loaded.settings.listen or not loaded.surroundings.inherited:
        return []
    return [
        loaded.origin(name).line((name,), "not bound: systemd passed the sockets to serve")
        for name in ("host", "port", "uds")
        if loaded.provenance.owner((name,))
    ]


def _entries(loaded: Loaded) -> list[tuple[KeyPath, Listen]]:
    """What is to be listened on, and the option that says so."""
    settings = loaded.settings
    inherited = loaded.surroundings.inherited
    entries: list[tuple[KeyPath, Listen]] = [
        (("listen", index), entry) for index, entry in enumerate(settings.listen)
    ]
    if inherited and not any(_names_inherited(entry, inherited) for _, entry in entries):
        return [(("listen",), _EVERY_SOCKET), *entries]
    if entries:
        return entries
    if settings.uds is not None:
        return [(("uds",), Listen(address=Address(kind="unix", path=settings.uds)))]
    tcp = Address(kind="tcp", host=settings.host, port=settings.port)
    return [(("host",), Listen(address=tcp))]


def _names_inherited(entry: Listen, inherited: tuple[str, ...]) -> bool:
    address = entry.address
    return address.kind == "systemd" or (
        address.kind == "fd" and 0 <= address.fd - _FIRST_INHERITED_FD < len(inherited)
    )


def _open_fds(address: Address, inherited: tuple[str, ...]) -> set[int]:
    """The descriptors that an address means, of those that are open before the daemon starts."""
    match address.kind:
        case "fd":
            return {address.fd}
        case "systemd":
            named = enumerate(inherited, start=_FIRST_INHERITED_FD)
            return {fd for fd, name in named if address.name in {"", name}}
        case _:
            return set()


def _sockets(loaded: Loaded, path: KeyPath, address: Address) -> Iterator[Address]:
    """The address as sockets: a host name may mean several, a name of none is an error."""
    match address.kind:
        case "tcp":
            yield from _resolve(loaded, path, address)
        case "unix":
            yield _complete(loaded, path, address)
        case "systemd":
            _check_inherited(loaded, path, address.name)
            yield address
        case "fd":
            yield address


def _resolve(loaded: Loaded, path: KeyPath, address: Address) -> Iterator[Address]:
    """One address for each that the host name has."""
    if not address.host:
        yield Address(kind="tcp", host="0.0.0.0", port=address.port)  # noqa: S104 - as asked for
        if _has_ipv6():
            yield Address(kind="tcp", host="::", port=address.port)
        return
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        line = loaded.line(path, f"{address.host} cannot be resolved: {reason}")
        raise ListenError(line) from error
    for host in dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found):
        yield Address(kind="tcp", host=host, port=address.port)


def _has_ipv6() -> bool:
    """Whether the kernel has it: `ipv6.disable=1` leaves no family to open a socket of."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _complete(loaded: Loaded, path: KeyPath, address: Address) -> Address:
    """The address with an absolute path that fits into a socket address."""
    where = address.path
    if not where.startswith("@"):
        where = os.path.abspath(os.path.join(loaded.surroundings.runtime_directory, where))
    if len(os.fsencode(where)) > _LONGEST_PATH_BYTES:
        limit = f"longer than the {_LONGEST_PATH_BYTES} bytes of a Unix socket's address"
        raise loaded.refusal(path, f"{where} is {limit}")
    return Address(kind="unix", path=where)


def _check_inherited(loaded: Loaded, path: KeyPath, name: str) -> None:
    inherited = loaded.surroundings.inherited
    if inherited is None or name in inherited or (inherited and not name):
        return
    there = f"there are {', '.join(dict.fromkeys(inherited))}" if inherited else "none were passed"
    what = f'no socket named "{name}"' if name else "no sockets"
    raise loaded.refusal(path, f"systemd passed {what}; {there}")


def _plan(loaded: Loaded, path: KeyPath, entry: Listen, address: Address) -> ListenerPlan:
    settings = loaded.settings
    facts: dict[str, Any] = {"mode": None, "uid": None, "gid": None}
    if address.kind == "unix" and not address.path.startswith("@"):
        facts = {
            "mode": settings.uds_permissions if entry.mode is None else entry.mode,
            "uid": find_uid(loaded, (*path, "owner"), entry.owner),
            "gid": find_gid(loaded, (*path, "group"), entry.group),
        }
    tls = _begins_with_tls(loaded, path, entry)
    proxy_protocol = (
        settings.proxy_protocol if entry.proxy_protocol is None else entry.proxy_protocol
    )
    return ListenerPlan(
        key=_key(address),
        kind=address.kind,
        host=address.host,
        port=address.port,
        path=address.path,
        fd=address.fd,
        name=address.name,
        backlog=entry.backlog or settings.backlog,
        proxy_protocol=proxy_protocol,
        tls=tls,
        http3=speaks_http3(loaded, path, entry, tls=tls, proxy_protocol=proxy_protocol),
        **facts,
    )


def _begins_with_tls(loaded: Loaded, path: KeyPath, entry: Listen) -> bool:
    certified = loaded.settings.ssl.certificate is not None
    if entry.tls and not certified:
        raise loaded.refusal((*path, "tls"), "TLS needs ssl.certificate and ssl.keyfile")
    return certified if entry.tls is None else entry.tls


def _key(address: Address) -> str:
    return f"tcp:{address}" if address.kind == "tcp" else str(address)
