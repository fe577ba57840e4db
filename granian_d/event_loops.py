"""The event loops that there are by name, and those that a program adds.

    from granian_d import loops

    @loops.register("auto")
    def build():
        return asyncio.new_event_loop()

What a program registers before it serves is there in the workers, too: they are forked from it.
Neither asyncio nor a loop is imported before it is wanted.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from granian_d.errors import LoopMissing

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    Build = TypeVar("Build", bound=Callable[..., asyncio.AbstractEventLoop])

# What "auto" tries; winloop is for Windows, where this daemon is not.
AUTO: Final = ("rloop", "uvloop", "asyncio")


class Builder(NamedTuple):
    """How a loop is made.

    Attributes:
        build: makes one, of its packages as keyword arguments.
        packages: that it needs.
        ours: no program has registered it.
    """

    build: Callable[..., asyncio.AbstractEventLoop]
    packages: tuple[str, ...]
    ours: bool = False


class Registry:
    """Builders of event loops, by name."""

    __slots__ = ("_auto_is", "_builders", "_ready")

    def __init__(self) -> None:
        self._auto_is = ""  # what it is here: to look for packages costs each worker memory
        self._ready: dict[str, tuple[Callable[..., asyncio.AbstractEventLoop], dict[str, Any]]] = {}
        self._builders: dict[str, Builder] = {"auto": Builder(self._auto, (), ours=True)}
        for name in ("asyncio", "rloop", "uvloop", "winloop"):
            self._builders[name] = Builder(_new_loop, (name,), ours=True)

    def __contains__(self, name: str) -> bool:
        builder = self._builders.get(name)
        return builder is not None and _installed(builder.packages)

    def keys(self) -> Iterable[str]:
        """The names that mean a loop here."""
        return [name for name in self._builders if name in self]

    def register(
        self, name: str, packages: Sequence[str] | None = None
    ) -> Callable[[Build], Build]:
        """Have the decorated function build the loops of that name, "auto" included.

        Args:
            name: to be given as `loop`.
            packages: are imported and given to the function as keyword arguments. Where one is
                not installed, nothing is registered, and the name means what it meant before.
        """

        def decorate(build: Build) -> Build:
            needed = tuple(packages or ())
            if _installed(needed):
                self._builders[name] = Builder(build, needed)
                self._ready.clear()
            return build

        return decorate

    def get(self, name: str) -> asyncio.AbstractEventLoop:
        """A new loop.

        Raises:
            LoopMissing: there is none of that name, or what it needs is not installed.
        """
        build, packages = self._ready.get(name) or self._find(name)
        return build(**packages)

    def preload(self, name: str) -> None:
        """Import what loops of that name need, without making one."""
        means = self.resolve(name)
        if means not in {"auto", "asyncio"}:  # a master knows no asyncio, workers always do
            self._ready[name] = self._find(means)

    def resolve(self, name: str) -> str:
        """The name that "auto" stands for, unless a program has made it a loop of its own."""
        if name != "auto" or self.is_registered(name):
            return name
        self._auto_is = self._auto_is or next(one for one in AUTO if one in self)
        return self._auto_is

    def is_registered(self, name: str) -> bool:
        """Whether a program has registered it: another process does not know what it means."""
        return name in self._builders and not self._builders[name].ours

    def lacks(self, name: str) -> str:
        """Why there can be no loop of that name; "" if there can."""
        if name in self:
            return ""
        if name == "winloop" and not self.is_registered(name):
            return "winloop is for Windows; uvloop is its counterpart here"
        what = "is not installed" if name in self._builders else "is no loop"
        return f"{name} {what}; there are {', '.join(self.keys())}"

    def _find(self, name: str) -> tuple[Callable[..., asyncio.AbstractEventLoop], dict[str, Any]]:
        builder = self._builders.get(name)
        try:
            if builder is None:
                raise ImportError
            return builder.build, {one: import_module(one) for one in builder.packages}
        except ImportError as error:
            reason = self.lacks(name) or f"{name} cannot be imported: {error}"
            raise LoopMissing(f"loop: {reason}") from error

    def _auto(self) -> asyncio.AbstractEventLoop:
        return self.get(self.resolve("auto"))


def _new_loop(**package: Any) -> asyncio.AbstractEventLoop:
    (module,) = package.values()
    loop: asyncio.AbstractEventLoop = module.new_event_loop()
    return loop


def _installed(packages: Iterable[str]) -> bool:
    try:
        return all(find_spec(package) is not None for package in packages)
    except ImportError:  # of a dotted name, what it is in
        return False


loops: Final = Registry()
