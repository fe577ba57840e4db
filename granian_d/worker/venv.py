"""The application's own virtual environment, where granian-d is installed elsewhere."""

from __future__ import annotations

import os
import site
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Final

from granian_d.plan import site_packages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# What serves is ours also where the application brings its own: a process has room for one of each.
_OURS: Final = ("h11", "h2", "hpack", "hyperframe", "setproctitle", "uvloop", "wsproto")


def enter(venv: str) -> None:
    """Have this process import as an interpreter of that environment does.

    Where both have a package, the application's is found, but for those that granian-d serves with.

    Args:
        venv: its directory; it has a site-packages of this version of Python.
    """
    directory = site_packages(venv)
    if directory in sys.path:
        return
    before = list(sys.path)
    sys.meta_path.insert(0, _Ours(before))
    site.addsitedir(directory)  # with its .pth files: editable installs
    added = [path for path in sys.path if path not in before]
    sys.path[:] = [*added, *before]
    sys.prefix = sys.exec_prefix = venv
    programs = os.path.join(venv, "bin")
    python = os.path.join(programs, "python")
    if os.access(python, os.X_OK):
        sys.executable = python  # of children: multiprocessing, subprocess
    os.environ["VIRTUAL_ENV"] = venv
    os.environ["PATH"] = os.pathsep.join(filter(None, (programs, os.environ.get("PATH"))))


class _Ours:
    """Finds what granian-d serves with where granian-d found it, and nothing else."""

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib.abc.MetaPathFinder has it."""
        if path is not None or name not in _OURS:
            return None
        return PathFinder.find_spec(name, self._path, target)
