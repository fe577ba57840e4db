"""The journal's native protocol: an entry is a set of fields, sent in one datagram.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL. What the fields mean: systemd.journal-fields(7).
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "granian-d"

_TOO_LARGE: Final = (errno.EMSGSIZE, errno.ENOBUFS)


class Journal:
    """Sends entries, and waits for nobody.

    Args:
        environ: names this start of the service (INVOCATION_ID, systemd.exec(5)).
        seal: puts octets into a sealed memfd; raises OSError. For an entry that no datagram holds.
        address: where journald listens.
    """

    __slots__ = ("_address", "_constant", "_link", "_seal")

    def __init__(
        self, environ: Mapping[str, str], seal: Callable[[bytes], int], address: str = ""
    ) -> None:
        self._address = address or SOCKET
        self._seal = seal
        self._constant = _field("SYSLOG_IDENTIFIER", IDENTIFIER)
        if invocation := environ.get("INVOCATION_ID"):
            self._constant += _field("INVOCATION_ID", invocation)
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._link: socket.socket | None = socket.socket(socket.AF_UNIX, kind)
        except OSError:
            self._link = None  # RestrictAddressFamilies= without AF_UNIX, or no descriptor left

    def send(self, fields: Mapping[str, str]) -> bool:
        """Send an entry. False when journald is not there or does not read: say it elsewhere.

        Names are of A-Z, 0-9 and _, at most 64, and begin with a letter: journald drops the fields
        of others without a word.

        The address is looked up for each entry, so a journald that was replaced is found again.
        """
        if self._link is None:
            return False
        octets = self._constant + b"".join([_field(*field) for field in fields.items()])
        try:
            try:
                self._link.sendto(octets, self._address)
            except OSError as error:
                if error.errno not in _TOO_LARGE:
                    raise
                self._send_sealed(self._link, octets)
        except OSError:
            return False
        return True

    def _send_sealed(self, link: socket.socket, octets: bytes) -> None:
        """Send the entry in a file: journald maps it, so nobody may change it any more."""
        with open(self._seal(octets), "rb") as sealed:
            fd = sealed.fileno().to_bytes(4, sys.byteorder)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, fd)
            link.sendmsg([], [rights], 0, self._address)

    def close(self) -> None:
        """Let go of the socket."""
        if self._link is not None:
            self._link.close()
            self._link = None


def _field(name: str, value: str) -> bytes:
    """A field as journald reads it; text that is none is escaped."""
    octets = value.encode("utf-8", "backslashreplace")
    if b"\n" in octets:
        return b"%s\n%s%s\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
    return b"%s=%s\n" % (name.encode(), octets)
