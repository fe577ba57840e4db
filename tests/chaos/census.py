"""Who holds which connection, and what a process costs, as the kernel tells it."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

STOPPED = "T"
KERNEL_S = 5.0  # for what the kernel does by itself


class Held(NamedTuple):
    """Connections that some processes had when they were stopped (SIGSTOP) to be killed.

    Attributes:
        ports: the clients' ends.
        at: CLOCK_MONOTONIC of the look.
        later_only: they were not killed but told to end: what was under way must be answered.
    """

    ports: frozenset[int]
    at: float
    later_only: bool = False

    def covers(self, loss: dict) -> bool:
        """That request was on one of them. A port may have been somebody else's at another time."""
        if self.later_only and loss["began"] < self.at:
            return False
        return loss["port"] in self.ports and loss["dialled"] <= self.at <= loss["lost"]


@contextmanager
def stopped(pids: Iterable[int]):
    """They do not run within; they need not outlive it."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        _until(lambda pid=pid: state(pid) in (STOPPED, ""))
    yield
    for pid in pids:
        if state(pid) == STOPPED:
            os.kill(pid, signal.SIGCONT)


def look(pids: Iterable[int], port: int) -> Held:
    """The connections to a local port that these processes, which must be stopped, have accepted."""
    inodes: set[str] = set()
    for pid in pids:
        for fd in _listdir(f"/proc/{pid}/fd"):
            target = _readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    # proc(5): "sl local_address rem_address st ... uid timeout inode", addresses in hexadecimal.
    line = re.compile(
        rf"^ *\d+: [0-9A-F]+:{port:04X} [0-9A-F]+:([0-9A-F]+) (\w+)(?: +\S+){{5}} (\d+)",
        re.MULTILINE,
    )
    table = Path("/proc/net/tcp").read_text()
    held = {int(peer, 16) for peer, _, inode in line.findall(table) if inode in inodes}
    return Held(frozenset(held - {0}), time.monotonic())


def state(pid: int) -> str:
    """R, S, T, Z, ...; "" of a process that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def generation(pid: int) -> int:
    """That of a worker, as its title says; 0 of what is none."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(rb"worker \d+ .*gen (\d+)", title)
    return int(found[1]) if found else 0


class Cost(NamedTuple):
    """What a process has, in numbers and KiB."""

    fds: int
    zombies: int
    rss: int
    pss: int


def cost(pid: int) -> Cost:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (
        int(re.search(rf"^{name}: +(\d+)", rollup, re.MULTILINE)[1]) for name in ("Rss", "Pss")
    )
    zombies = sum(state(child) == "Z" for child in children(pid))
    return Cost(len(_listdir(f"/proc/{pid}/fd")), zombies, rss, pss)


def _until(holds) -> None:
    end = time.monotonic() + KERNEL_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.0005)


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _readlink(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
