"""Our options beside those of Granian: `granian.toml` against the model, and why they differ.

`compare` finds the differences; each of them needs a row in `differences.toml`, which says why, and
a row that is no difference any more is a fault. docs/from-granian.md is rendered from both.
"""

from __future__ import annotations

import tomllib
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from granian_d.settings.kinds import Choice, Duration, Integer, Octal, Paths, Several, Switch
from granian_d.settings.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.settings.options import Option

HERE: Final = Path(__file__).parent
OURS: Final = {option.flag: option for option in OPTIONS.values()}

# The kinds of ours that read whatever Granian's read.
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "integer": (Integer,),
    "number": (Duration,),
    "duration": (Duration,),
    "octal": (Octal,),
    "switch": (Switch,),
    "choice": (Choice,),
}


class Difference(NamedTuple):
    """One thing in which an option of ours is not Granian's."""

    flag: str
    aspect: str  # what of it
    theirs: str
    ours: str


def read(name: str) -> dict[str, Any]:
    """A file of this directory."""
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def compare() -> list[Difference]:
    """All differences, in the order of Granian's options."""
    return [found for theirs in read("granian.toml")["option"] for found in _compare(theirs)]


def reasons() -> dict[tuple[str, str], str]:
    """Why they differ, by flag and aspect."""
    found: dict[tuple[str, str], str] = {}
    for row in read("differences.toml")["difference"]:
        for flag in row["flags"]:
            key = (flag, row["aspect"])
            assert key not in found, f"{key} is explained twice"
            found[key] = row["why"]
    return found


def _compare(theirs: dict[str, Any]) -> Iterator[Difference]:
    flag = theirs["flag"]
    ours = OURS.get(flag)
    if ours is None:
        yield Difference(flag, "option", flag, "missing")
        return
    for aspect, one, other in (
        ("variable", theirs["variable"], ours.variable),
        ("negative", theirs.get("negative", ""), ours.negative_flag if ours.switch else ""),
        ("values", theirs["values"], _values(theirs, ours)),
        ("multiple", theirs.get("multiple", False), ours.multiple),
        ("default", _default(theirs), _our_default(ours)),
        ("effect", "", "none" if ours.inert else ""),
    ):
        if one != other:
            yield Difference(flag, aspect, str(one), str(other))
    missing = set(theirs.get("choices", ())) - set(getattr(ours.kind, "words", ()))
    if missing:
        yield Difference(flag, "choices", ", ".join(sorted(missing)), "missing")
    if _bound(ours.minimum, -inf) > theirs.get("minimum", -inf):
        yield Difference(
            flag, "minimum", str(theirs.get("minimum", "")), ours.kind.text(ours.minimum)
        )
    if _bound(ours.maximum, inf) < theirs.get("maximum", inf):
        yield Difference(
            flag, "maximum", str(theirs.get("maximum", "")), ours.kind.text(ours.maximum)
        )


def _bound(bound: float | None, none: float) -> float:
    return none if bound is None else bound


def _values(theirs: dict[str, Any], ours: Option) -> str:
    """Granian's word for values that ours reads too; else the name of our kind."""
    word = theirs["values"]
    good = word in {"text", "path"} or isinstance(ours.kind, _KINDS[word])
    if theirs.get("multiple"):  # what separates them in a variable differs
        good = isinstance(ours.kind, Paths if word == "path" else Several)
        good = good and (word == "path" or not isinstance(ours.kind, Paths))
    return word if good else type(ours.kind).__name__


def _default(theirs: dict[str, Any]) -> str:
    value = theirs.get("default", "")
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _our_default(ours: Option) -> str:
    if ours.computed:
        return ours.computed
    if ours.default in (None, ()):
        return ""
    if isinstance(ours.default, bool):
        return "on" if ours.default else "off"
    return ours.kind.text(ours.default)
