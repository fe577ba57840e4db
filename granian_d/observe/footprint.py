"""What a process takes of memory, as the kernel counts it (proc(5), smaps_rollup and statm)."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

KIB: Final = 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Footprint(NamedTuple):
    """Memory of a process in bytes.

    Attributes:
        rss: all that is resident.
        pss: the same, but of a page that n processes share only the n-th part.
    """

    rss: int = 0
    pss: int = 0


def footprint(pid: int) -> Footprint:
    """Look at one process; zeros where the kernel does not let us, or it has gone.

    It takes the kernel a while: the page tables are walked, 1 ms for each 100 MB or so.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return Footprint()
    sizes = {line.split(b":")[0]: int(line.split()[1]) * KIB for line in lines[1:]}
    return Footprint(sizes.get(b"Rss", 0), sizes.get(b"Pss", 0))


def resident(pid: int) -> int:
    """Resident memory of a process in bytes, whosever it is; 0 if it has gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
