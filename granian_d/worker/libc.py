"""Three calls of the C library that Python has no name for.

libc.pyx beside it is the same without ctypes, whose import costs every process 0.4 MB.
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def prctl(option: int, argument: int) -> None:
    """Change an attribute of this process.

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.prctl(option, argument, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def madvise(start: int, size: int, advice: int) -> bool:
    """Advise the kernel on a range of memory; False when it does not know the advice."""
    return bool(_libc.madvise(start, size, advice) == 0)


def malloc_trim() -> None:
    """Give free memory back to the system, where the library can: glibc, not musl."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
