"""Sockets handed over by a service manager: sd_listen_fds(3), its names and its checks."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import ListenError
from granian_d.systemd.fdstore import is_stored

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
UNNAMED: Final = "unknown"  # what systemd calls a socket without FileDescriptorName=
VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


class InheritedSocket(NamedTuple):
    """A listening stream socket, or a datagram socket, that the manager opened: its
    FileDescriptorName= and descriptor.

    Or, by its name (fdstore.is_stored), what it has kept for us; that may be anything.
    """

    name: str
    fd: int


def take_sockets(environ: MutableMapping[str, str], pid: int) -> tuple[InheritedSocket, ...]:
    """The sockets passed to this process; forgets the variables, so that no child believes them.

    Raises:
        ListenError: the variables contradict themselves, or a descriptor of a socket unit is
            neither a listening stream socket nor one for datagrams.
    """
    given = {name: environ.pop(name, "") for name in VARIABLES}
    if not given["LISTEN_FDS"] or given["LISTEN_PID"] != str(pid):
        return ()  # meant for another process: sd_listen_fds(3) wants that ignored
    if given["LISTEN_PIDFDID"] and not _is_mine(given["LISTEN_PIDFDID"]):
        return ()  # meant for another process that had our process id before
    if not given["LISTEN_FDS"].isascii() or not given["LISTEN_FDS"].isdigit():
        raise ListenError(f"LISTEN_FDS={given['LISTEN_FDS']!r} is not a number")
    count = int(given["LISTEN_FDS"])
    names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else [UNNAMED] * count
    if len(names) != count:
        raise ListenError(f"LISTEN_FDNAMES names {len(names)} sockets, LISTEN_FDS passes {count}")
    for fd, name in enumerate(names, FIRST_FD):
        if not is_stored(name) and not is_datagram(fd):
            check_listening(fd, f"socket {fd - FIRST_FD + 1} passed by the service manager")
        os.set_inheritable(fd, False)
    return tuple(InheritedSocket(name, FIRST_FD + index) for index, name in enumerate(names))


def _is_mine(pidfdid: str) -> bool:
    if not pidfdid.isascii() or not pidfdid.isdigit():
        raise ListenError(f"LISTEN_PIDFDID={pidfdid!r} is not a number")
    from granian_d.systemd import pidfd  # noqa: PLC0415 - systemd 259 and later give one

    return pidfd.names_me(int(pidfdid))


def is_datagram(fd: int) -> bool:
    """Whether it is a UDP socket (ListenDatagram=)."""
    try:
        with socket.socket(fileno=os.dup(fd)) as probe:
            inet = probe.family in (socket.AF_INET, socket.AF_INET6)
            return inet and probe.type == socket.SOCK_DGRAM
    except OSError:
        return False


def check_listening(fd: int, what: str) -> None:
    """Raise unless `fd` is a listening stream socket.

    Raises:
        ListenError: it is closed, not a socket, of another type, or not listening.
    """
    try:
        copy = os.dup(fd)
        try:
            probe = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            raise
    except OSError as error:
        raise ListenError(f"{what}: descriptor {fd} is not a socket ({error.strerror})") from error
    with probe:
        if probe.type != socket.SOCK_STREAM:
            raise ListenError(f"{what}: descriptor {fd} is not a stream socket")
        if not probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(f"{what}: descriptor {fd} does not listen")
