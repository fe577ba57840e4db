"""Where to listen: the grammar of an address, and nothing of the network.

    127.0.0.1:8000  [::1]:8000  example.org:80  :8000      TCP
    unix:/run/app.sock  unix:@abstract                     a Unix socket
    fd:3                                                   a socket that is open already
    systemd:http  systemd                                  sockets passed by systemd

Options follow commas (`unix:/run/app.sock,mode=0660,group=www-data`); which address may have which
option is the model's business. Names are resolved by `listeners`, at the last moment.
"""

# No `from __future__ import annotations`: pydantic evaluates those of Address.

import re
import socket
from dataclasses import dataclass
from typing import Final

from granian_d.plan.model import ListenerKind
from granian_d.settings.refusal import Refusal

FORMS: Final = "HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH, fd:N, systemd:NAME or systemd"

_DIGITS = re.compile(r"[0-9]{1,6}")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_ONLY_DOTTED_DIGITS = re.compile(r"[0-9.]+")
# FileDescriptorName=: up to 255 printable ASCII characters without a colon (systemd.socket(5)).
_SOCKET_NAME = re.compile(r"[\x21-\x39\x3b-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One parsed address. An empty host is every address, an empty name every inherited socket."""

    kind: ListenerKind
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1
    name: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "tcp":
                host = f"[{self.host}]" if ":" in self.host else self.host
                return f"{host}:{self.port}"
            case "unix":
                return f"unix:{self.path}"
            case "fd":
                return f"fd:{self.fd}"
            case _:
                return f"systemd:{self.name}" if self.name else "systemd"


def parse_address(text: str) -> Address:
    """The address that is written.

    Raises:
        Refusal: it is none; the reason begins with a verb and follows the text in quotes.
    """
    if text == "systemd":
        return Address(kind="systemd")
    scheme, _, rest = text.partition(":")
    match scheme:
        case "unix":
            return _parse_unix(text, rest)
        case "fd":
            return _parse_fd(text, rest)
        case "systemd":
            return _parse_systemd(text, rest)
    if text.startswith(("/", "@")):
        raise Refusal(f'"{text}" is not an address; did you mean unix:{text}?')
    return _parse_tcp(text)


def split_listen(text: str) -> dict[str, str]:
    """The address and the options that follow it after commas, by name, unparsed.

    Raises:
        Refusal: an option is not of the form name=value, or comes twice.
    """
    address, *options = text.split(",")
    fields = {"address": address}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise Refusal(f'"{option}" is not an option of the form mode=0660')
        if name in fields:
            raise Refusal(f'"{name}" is given twice in "{text}"')
        fields[name] = value
    return fields


def is_ip_literal(host: str) -> bool:
    """Whether a host needs no look-up. A zone may follow an IPv6 address (fe80::1%eth0)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except (OSError, ValueError):
        return False
    return True


def check_host(host: str) -> None:
    """Raise unless this is an IP address or looks like a host name.

    Raises:
        Refusal: it is neither.
    """
    if is_ip_literal(host):
        return
    # The C library reads 127.1 as 127.0.0.1 and 0177.0.0.1 as octal: nobody means that.
    if _ONLY_DOTTED_DIGITS.fullmatch(host):
        raise Refusal(f'"{host}" is not an IPv4 address')
    if ":" in host:
        raise Refusal(f'"{host}" is not an IPv6 address')
    if len(host) > 253 or not _HOST_NAME.fullmatch(host):
        raise Refusal(f'"{host}" is neither an IP address nor a host name')


def _parse_unix(text: str, path: str) -> Address:
    if path in {"", "@"}:
        raise Refusal(f'"{text}" names no socket; write unix:/run/app.sock or unix:@name')
    if "\0" in path:
        raise Refusal(f'"{text!r}" holds a NUL character')
    return Address(kind="unix", path=path)


def _parse_fd(text: str, digits: str) -> Address:
    if not _DIGITS.fullmatch(digits):
        raise Refusal(f'"{text}" names no file descriptor; write fd:3')
    return Address(kind="fd", fd=int(digits))


def _parse_systemd(text: str, name: str) -> Address:
    if not _SOCKET_NAME.fullmatch(name):
        raise Refusal(f'"{text}" names no socket; write systemd:NAME, or systemd for all of them')
    return Address(kind="systemd", name=name)


def _parse_tcp(text: str) -> Address:
    host, colon, digits = text.rpartition(":")
    if not colon:
        raise Refusal(f'"{text}" has no port; addresses are {FORMS}')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise Refusal(f'"{text}" has brackets around what is not an IPv6 address')
    elif ":" in host:
        raise Refusal(f'"{text}" needs brackets around its IPv6 address, as in [::1]:8000')
    if not _DIGITS.fullmatch(digits) or int(digits) > 65535:
        raise Refusal(f'"{text}" has no port from 0 to 65535')
    if host:
        check_host(host)
    return Address(kind="tcp", host=host, port=int(digits))
