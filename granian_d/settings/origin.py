"""Where a value was written, and error lines that say so.

Sources are ranked as a reader finds them: the command line first, then the environment, then the
file from top to bottom. The first fault in this order is the one that is reported.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from granian_d.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.settings.toml_lines import KeyPath

_ARGUMENT, _VARIABLE, _LINE, _DEFAULT = range(4)


class Origin(NamedTuple):
    """One place at which values are written; the order of places is that of reading."""

    source: int
    position: int
    name: str

    @property
    def in_file(self) -> bool:
        """Whether it is a line of a TOML file."""
        return self.source == _LINE

    def line(self, path: KeyPath, reason: str) -> str:
        """The error line about the value at `path`."""
        # A flag or variable names the option itself, and the index of a repeated flag or of a word
        # of a variable means nothing to its user: what is left is inside of the value.
        named_already = 0 if self.source in {_LINE, _DEFAULT} else len(option_path(path)) + 1
        name = "" if self.source == _DEFAULT else self.name
        return one_line(": ".join(filter(None, (name, dotted(path[named_already:]), reason))))


def argument(position: int, flag: str) -> Origin:
    """A flag or positional of the command line."""
    return Origin(_ARGUMENT, position, flag)


def variable(position: int, name: str) -> Origin:
    """A variable of the environment."""
    return Origin(_VARIABLE, position, name)


def file_line(file: str, line: int) -> Origin:
    """A line of a TOML file."""
    return Origin(_LINE, line, f"{file}:{line}")


DEFAULT = Origin(_DEFAULT, 0, "default")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what was written."""

    origin: Origin
    line: str


def refuse(faults: Iterable[Fault]) -> ConfigError:
    """The error that reports the first of these faults and counts the others."""
    first, *others = sorted(faults, key=lambda fault: fault.origin)
    more = f" (and {len(others)} more)" if others else ""
    return ConfigError(first.line + more)


def dotted(path: KeyPath) -> str:
    """A path as users write it: `http1.keep_alive`, `listen[0].mode`."""
    words = ""
    for part in path:
        words += f"[{part}]" if isinstance(part, int) else f".{part}" if words else part
    return words


def hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A clause that names the nearest known name, or nothing; a prefix of all does not count."""
    stems = [word.removeprefix(prefix) for word in known]
    near = difflib.get_close_matches(name.removeprefix(prefix), stems, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def one_line(text: str) -> str:
    """The text, with what would break the line or could not be printed escaped."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def option_path(path: KeyPath) -> KeyPath:
    """The part of a path that names an option, without what is inside of its value."""
    inside = next((at for at, part in enumerate(path) if isinstance(part, int)), len(path))
    return path[:inside]
