"""The memory that workers share: made small and left alone before the first fork.

A child shares every page that neither it nor its parent writes. So the heap is collected, what
the allocator holds back is returned, and what is left is frozen: the garbage collector writes
into the head of every object it visits, and frozen ones it does not visit.

The same is done for code, which is shared as long as both map it: the loop's pages are mapped here
once, before the fork, and those of OpenSSL, whose long initialisation runs when `ssl` is imported
and never again, are dropped. What is needed after all comes back from the page cache.
"""

from __future__ import annotations

import ctypes
import gc
import re
from typing import Final

# Advice of madvise(2):
MADV_DONTNEED: Final = 4
MADV_POPULATE_READ: Final = 22  # Linux 5.14; older kernels refuse it, and pages come one by one

# File-backed, executable mappings: never written, so nothing is lost with their pages.
_CODE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-x[ps] \S+ \S+ [1-9]\d* +/.*/(\S+)")
_ADVICE: Final = {
    "libcrypto.so": MADV_DONTNEED,
    "libssl.so": MADV_DONTNEED,
    "loop.cpython": MADV_POPULATE_READ,  # uvloop/loop.cpython-*.so
}


def share() -> None:
    """Make this process's memory cheap to share with the children it is about to fork."""
    libc = ctypes.CDLL(None)
    gc.collect()
    if hasattr(libc, "malloc_trim"):  # glibc has it, musl has not
        libc.malloc_trim(0)
    _advise_on_code(libc)
    gc.freeze()


def _advise_on_code(libc: ctypes.CDLL) -> None:
    madvise = libc.madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        lines = maps.readlines()
    for found in filter(None, map(_CODE.match, lines)):
        start, end = int(found[1], 16), int(found[2], 16)
        for name, advice in _ADVICE.items():
            if found[3].startswith(name):
                madvise(start, end - start, advice)
