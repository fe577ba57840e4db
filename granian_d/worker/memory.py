"""The memory that workers share: made small and left alone before the first fork.

A child shares every page that neither it nor its parent writes. So the heap is collected, what
the allocator holds back is returned, and what is left is frozen: the garbage collector writes
into the head of every object it visits, and frozen ones it does not visit.

The same is done for code and constants, which are mapped from files. What the imports have
touched, and nobody will again, is dropped; what is needed after all comes back from the page cache.
Only what each worker runs all the time stays mapped here, so that it is shared, and the loop's
pages are mapped once, before the fork.
"""

from __future__ import annotations

import gc
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from granian_d.worker.libc import madvise, malloc_trim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Advice of madvise(2):
MADV_DONTNEED: Final = 4
MADV_POPULATE_READ: Final = 22  # Linux 5.14; older kernels refuse it, and pages come one by one

# A mapping of a file that cannot be written, in /proc/self/smaps.
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +(/\S+)")
_LOOP: Final = "/uvloop/loop.cpython"
# Compiled parts that a worker is always in.
_HOT: Final = re.compile(
    r"/granian_d/(worker|transport|http)/|/(calls|gate|stepping|application|h1|wire)\.[^/]+$"
)


def share() -> None:
    """Make this process's memory cheap to share with the children it is about to fork."""
    _advise_on_files()
    gc.collect()
    malloc_trim()
    gc.freeze()


def _advise_on_files() -> None:
    with (
        suppress(FileNotFoundError),  # a kernel without smaps
        open("/proc/self/smaps", encoding="utf-8", errors="surrogateescape") as smaps,
    ):
        for found in _untouched(smaps):
            start, end = int(found[1], 16), int(found[2], 16)
            if _HOT.search(found[3]):
                continue
            loop = _LOOP in found[3]
            madvise(start, end - start, MADV_POPULATE_READ if loop else MADV_DONTNEED)


def _untouched(smaps: Iterable[str]) -> Iterator[re.Match[str]]:
    """The mappings in which each page is as in its file, so that nothing is lost with it.

    Others have been written, by the dynamic linker for instance, before they became read-only.
    """
    found = None
    for line in smaps:
        if line.startswith("Anonymous:"):
            if found is not None and int(line.split()[1]) == 0:
                yield found
            found = None
        elif "-" in line.partition(" ")[0]:
            found = _MAPPING.match(line)
