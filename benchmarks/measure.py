"""What a server's processes cost, read from /proc: CPU and memory."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")

# Fields of /proc/PID/stat after the name, which may hold spaces: see proc(5).
STATE, SESSION, UTIME, STIME = 0, 3, 11, 12
# Columns of a cpu line of /proc/stat: user, nice, system, irq, softirq, steal. The interrupts are
# among them because a process's own time has those that fell into it.
BUSY: Final = (1, 2, 3, 6, 7, 8)


@dataclass(frozen=True)
class Memory:
    """Of a whole tree. Pages that several processes map count once in `pss_kib`, shared out among
    all who map them, and not at all in `uss_kib`."""

    pss_kib: int
    uss_kib: int


class Tree:
    """The processes of a session: a server, started as its leader, and all that it started."""

    def __init__(self, leader: int) -> None:
        self.leader = leader

    def pids(self) -> list[int]:
        return sorted(self.cpu_s())

    def cpu_s(self) -> dict[int, float]:
        """CPU time of each process that lives, in user and kernel mode."""
        spent = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(fields[SESSION]) == self.leader and fields[STATE] not in "ZX":
                    spent[int(entry)] = (int(fields[UTIME]) + int(fields[STIME])) * TICK_S
        return spent

    def sharers(self) -> int:
        """Processes outside, beside this one, that run the same interpreter and share its pages."""
        inside = {*map(str, self.pids()), str(os.getpid())}
        others = (entry for entry in os.listdir("/proc") if entry.isdigit() and entry not in inside)
        return sum(map(runs_our_python, others))

    def memory(self) -> Memory:
        pss = uss = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
                name, kib = line.split()[:2]
                if name == "Pss:":
                    pss += int(kib)
                elif name in {"Private_Clean:", "Private_Dirty:"}:
                    uss += int(kib)
        return Memory(pss, uss)


def busy_s(cpus: frozenset[int]) -> float:
    """CPU time that all processes together, and the hypervisor, have had of these CPUs."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0].startswith("cpu") and fields[0][3:].isdigit() and int(fields[0][3:]) in cpus:
            ticks += sum(int(fields[column]) for column in BUSY)
    return ticks * TICK_S


def runs_our_python(pid: str) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        return os.readlink(f"/proc/{pid}/exe") == os.path.realpath(sys.executable)
    return False
