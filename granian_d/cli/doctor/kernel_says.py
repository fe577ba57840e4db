"""What the kernel is asked: /proc, and the processes of a daemon."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import Final

from granian_d.cli.doctor.access import Who
from granian_d.cli.doctor.facts import Kernel

# Of include/net/tcp_states.h: a socket that listens, and one of UDP that is connected to nobody.
_LISTEN: Final = "0A"
_UNCONNECTED: Final = "07"
_FIRST_FREE_PORT: Final = 1024


def kernel() -> Kernel:
    """The one that is running."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    first_free = _number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return Kernel(
        release=(int(release[1]), int(release[2])) if release else (0, 0),
        somaxconn=_number("/proc/sys/net/core/somaxconn"),
        first_free_port=_FIRST_FREE_PORT if first_free is None else first_free,
        cgroup2=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        listening=_sockets("tcp", _LISTEN),
        datagrams=_sockets("udp", _UNCONNECTED),
        rmem_max=_number("/proc/sys/net/core/rmem_max"),
    )


def _sockets(protocol: str, state: str) -> frozenset[tuple[str, int]]:
    lines = (
        line
        for table in (protocol, f"{protocol}6")
        for line in _text(f"/proc/net/{table}").splitlines()
    )
    return frozenset(found for line in lines for found in address(line, state))


def address(line: str, state: str = _LISTEN) -> list[tuple[str, int]]:
    """Address and port of a line of /proc/net/tcp or udp (proc_pid_net(5)) in that state."""
    fields = line.split()
    if len(fields) < 4 or fields[3] != state:
        return []
    octets, _, port = fields[1].partition(":")
    packed = bytes.fromhex(octets)  # words of 32 bits in the byte order of the machine
    if sys.byteorder == "little":
        packed = b"".join(packed[at : at + 4][::-1] for at in range(0, len(packed), 4))
    return [(str(ipaddress.ip_address(packed)), int(port, 16))]


def open_files(pid: int) -> int | None:
    """The soft limit of a process; None for none, and where it is not told."""
    found = re.search(r"^Max open files\s+(\d+)", _text(f"/proc/{pid}/limits"), re.MULTILINE)
    return int(found[1]) if found else None


def owner(pid: int, name: str) -> Who | None:
    """Whose a process is; None where it is not told."""
    lines = dict(line.partition(":")[::2] for line in _text(f"/proc/{pid}/status").splitlines())
    uids, gids = lines.get("Uid", "").split(), lines.get("Gid", "").split()
    if not uids or not gids:
        return None
    groups = frozenset(map(int, (gids[1], *lines.get("Groups", "").split())))
    return Who(name, int(uids[1]), groups)


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
