"""Importing now what would be imported later.

Much is imported by who first needs it: HTTP/2 with the first peer that speaks it, the report with
the first `granianctl status`. When the files of a running daemon are replaced, such an import would
find those of another release. So whoever is about to replace them has the processes pin theirs.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHARED: Final = ("control", "observe", "plan", "systemd", "transport")
OF_MASTER: Final = (*_SHARED, "supervisor")
OF_WORKER: Final = (*_SHARED, "engine", "http", "interface", "worker")


def pin(rooms: Sequence[str]) -> Iterator[str]:
    """Import the modules of these packages of granian_d, one at each step; their names.

    Of packages within them, those that this process has begun to use: a worker that speaks WSGI
    needs nothing of ASGI. What this installation cannot import nobody will.
    """
    waiting = [f"granian_d.{room}" for room in rooms]
    while waiting:
        package = waiting.pop()
        for found in pkgutil.iter_modules(getattr(sys.modules.get(package), "__path__", ())):
            name = f"{package}.{found.name}"
            if found.ispkg:
                waiting.append(name)
            elif name not in sys.modules and found.name != "__main__":
                try:
                    importlib.import_module(name)
                except ImportError:
                    continue
                yield name


def told(names: Sequence[str]) -> str:
    """What was done, as the text of an answer."""
    return f"{len(names)} modules imported" + "".join(f"\n  {name}" for name in names)
