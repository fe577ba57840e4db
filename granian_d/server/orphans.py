"""Adopting orphans for a time, and being as before afterwards."""

from __future__ import annotations

from importlib import import_module
from typing import Final

PR_GET_CHILD_SUBREAPER: Final = 37  # of prctl(2)


class Orphans:
    """Whether this process adopts the orphans among its descendants."""

    __slots__ = ("_adopting",)

    def __init__(self) -> None:
        self._adopting = False

    def adopt(self) -> None:
        """Adopt them from now on."""
        if not self._adopting and not _adopts():
            import_module("granian_d.worker.identity").adopt_orphans()
            self._adopting = True

    def release(self) -> None:
        """Adopt none, if that was not so before."""
        if self._adopting:
            import_module("granian_d.worker.identity").release_orphans()
            self._adopting = False


def _adopts() -> bool:
    import ctypes  # noqa: PLC0415 - only a program that preloads pays for it

    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)
