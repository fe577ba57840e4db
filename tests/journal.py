"""journald's end of the native protocol, strict: what journald would drop or mend fails here.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import select
import socket

NAME = re.compile(rb"[A-Z][A-Z0-9_]{0,63}")
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
LARGEST_DATAGRAM = 1 << 20


class FakeJournal:
    """Listens at `address`; `sealed` counts the entries that came in a file."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sealed = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)

    def heard(self) -> list[dict[str, str]]:
        """The entries that have arrived since, as text."""
        return [{name: value.decode() for name, value in entry.items()} for entry in self.entries()]

    def entries(self) -> list[dict[str, bytes]]:
        """The entries that have arrived since."""
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            room = socket.CMSG_SPACE(4 * 8)
            octets, rights, flags, _ = self.socket.recvmsg(LARGEST_DATAGRAM, room)
            assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
            if rights:
                assert octets == b""
                octets = self._content(rights)
            found.append(parse(octets))
        return found

    def _content(self, rights) -> bytes:
        ((level, kind, data),) = rights
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        (fd,) = array.array("i", data)
        with open(fd, "rb") as file:
            assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == SEALS
            self.sealed += 1
            return os.pread(fd, os.fstat(file.fileno()).st_size, 0)

    def close(self) -> None:
        self.socket.close()


def parse(octets: bytes) -> dict[str, bytes]:
    """One entry. Each field at most once: ours never repeat."""
    assert octets
    fields: dict[str, bytes] = {}
    at = 0
    while at < len(octets):
        end = octets.index(b"\n", at)
        name, equals, value = octets[at:end].partition(b"=")
        at = end + 1
        if not equals:
            length = int.from_bytes(octets[at : at + 8], "little")
            value = octets[at + 8 : at + 8 + length]
            assert len(value) == length
            at += 8 + length
            assert octets[at : at + 1] == b"\n"
            at += 1
        assert NAME.fullmatch(name), name
        assert name.decode() not in fields, name
        fields[name.decode()] = value
    return fields
