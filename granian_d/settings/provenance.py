"""Who wrote what: the readings of all sources, in order of precedence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from granian_d.settings.origin import DEFAULT, Fault, Origin, option_path

if TYPE_CHECKING:
    from granian_d.settings.sources import Reading
    from granian_d.settings.toml_lines import KeyPath


@dataclass(frozen=True, slots=True)
class Provenance:
    """The readings; the first one that has an option provides it."""

    readings: tuple[Reading, ...]

    def owner(self, path: KeyPath) -> Reading | None:
        """The source whose value is taken."""
        whole = option_path(path)
        return next((reading for reading in self.readings if whole in reading.origins), None)

    def origin(self, path: KeyPath) -> Origin:
        """Where the value at `path` was written."""
        owner = self.owner(path)
        return (owner and owner.origin(path)) or DEFAULT

    def secret(self, path: KeyPath) -> str:
        """The name of the credential that holds the value, or nothing."""
        owner = self.owner(path)
        if owner is None:
            return ""
        prefixes = (path[:depth] for depth in range(1, len(path) + 1))
        return next((owner.secrets[prefix] for prefix in prefixes if prefix in owner.secrets), "")

    def fault(self, path: KeyPath, reason: str) -> Fault:
        """What is wrong with the value at `path`."""
        origin = self.origin(path)
        return Fault(origin, origin.line(path, reason))
