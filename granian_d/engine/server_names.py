"""Which certificate is for the name that a client asks for (SNI, RFC 6066 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

Kept = TypeVar("Kept")


class ServerNames(Generic[Kept]):
    """Names of certificates, and what is kept for each.

    Args:
        default: for clients that ask for no name, or for one that no certificate has.

    Attributes:
        default: as given.
    """

    __slots__ = ("_by_name", "_by_parent", "default")

    def __init__(self, default: Kept) -> None:
        self.default = default
        self._by_name: dict[str, Kept] = {}
        self._by_parent: dict[str, Kept] = {}  # of a wildcard: what follows its first dot

    def learn(self, names: Iterable[str], kept: Kept) -> None:
        """Names in lower case, as they stand in a certificate; who comes first has a name."""
        for name in names:
            if name.startswith("*."):
                self._by_parent.setdefault(name[2:], kept)
            else:
                self._by_name.setdefault(name, kept)

    def pick(self, name: str) -> Kept:
        """What is kept for a name: who has it, whose wildcard stands for it, the default.

        A wildcard is a whole label, the first one, and stands for one label (RFC 9525 6.3).
        """
        name = name.lower().removesuffix(".")
        found = self._by_name.get(name)
        if found is None:
            found = self._by_parent.get(name.partition(".")[2], self.default)
        return found
