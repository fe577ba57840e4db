"""The memory that workers share: made small and left alone before the first fork.

A child shares every page that neither it nor its parent writes. So the heap is collected, what
the allocator holds back is returned, and what is left is frozen: the garbage collector writes
into the head of every object it visits, and frozen ones it does not visit.

The same is done for code and constants, which are shared as long as both map them: the loop's pages
are mapped here once, before the fork, and those of OpenSSL, whose long initialisation runs when
`ssl` is imported and never again, are dropped. What is needed after all comes back from the page
cache.
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
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +/.*/(\S+)")
_ADVICE: Final = {
    "_ssl.cpython": MADV_DONTNEED,
    "libcrypto.so": MADV_DONTNEED,
    "libssl.so": MADV_DONTNEED,
    "loop.cpython": MADV_POPULATE_READ,  # uvloop/loop.cpython-*.so
}


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
            for name, advice in _ADVICE.items():
                if found[3].startswith(name):
                    madvise(start, end - start, advice)


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
