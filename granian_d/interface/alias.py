"""`granian.rsgi` for applications that import it, on a machine without Granian.

A finder at the end of the list is asked only when nobody else knows the name: with Granian
installed, its own module is found, and nothing here takes part.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import ModuleType

_PACKAGE: Final = "granian"
_SURFACE: Final = "granian.rsgi"


class _Alias:
    """Finder and loader of the two modules.

    Not derived from the classes of importlib.abc, which import a good part of the library.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the signature of a finder
        target: ModuleType | None = None,  # noqa: ARG002 - as above
    ) -> ModuleSpec | None:
        """The spec of one of our modules, None for all others."""
        if fullname not in {_PACKAGE, _SURFACE}:
            return None
        loader = cast("Loader", self)
        return ModuleSpec(fullname, loader, origin=__name__, is_package=fullname == _PACKAGE)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making of the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; the package itself stays empty."""
        if module.__name__ != _SURFACE:
            return
        from granian_d.interface.rsgi import surface  # noqa: PLC0415 - only who asks pays for it

        names = surface.__all__
        module.__dict__.update({name: getattr(surface, name) for name in names})
        module.__dict__["__all__"] = list(names)


_ALIAS: Final = _Alias()


def install() -> None:
    """Make `granian` and `granian.rsgi` importable as ours, unless they are already."""
    if _ALIAS not in sys.meta_path:
        sys.meta_path.append(_ALIAS)
