"""What a check says, and what a check is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from granian_d.cli.doctor.facts import Facts

Level = Literal["fault", "warning", "note"]

# The worst first, and what each means to who reads it.
LEVELS: Final[dict[Level, str]] = {
    "fault": "it does not start, does not serve or loses requests, now or when next it is asked to",
    "warning": "it serves, and will not under load, at the next reload, restart or boot",
    "note": "good to know, or something that could not be looked at",
}


class Finding(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        level: how bad it is.
        what: the fact, in few words.
        why: why it matters.
        mend: a command, or where a line belongs and that line; "" where nothing needs to be done.
    """

    level: Level
    what: str
    why: str
    mend: str = ""


class Check(NamedTuple):
    """A row of a table of checks.

    Attributes:
        name: under which machines know it.
        level: the worst that it finds.
        about: what it looks at, for docs/doctor.md.
        find: a pure function; what it has no facts for, it says nothing about.
    """

    name: str
    level: Level
    about: str
    find: Callable[[Facts], Iterator[Finding]]
