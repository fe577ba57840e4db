"""The options in manual pages: granian.toml(5), and the part of granian-d(8) that lists them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from granian_d.settings.kinds import Choice
from granian_d.settings.options import OPTIONS, PREFIX
from granian_d.settings.page import Comment, Heading, Listing, Paragraph, Table
from granian_d.settings.reference import (
    PLACES,
    RELOAD,
    RENDERED,
    VALUES,
    addresses,
    atoms,
    limits,
    stated_default,
)
from granian_d.settings.roff import manual_page
from granian_d.settings.sources import HELP_FLAGS, VERSION_FLAGS
from granian_d.settings.usage import metavar, variable_of_flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import PurePath

    from granian_d.settings.options import Option
    from granian_d.settings.page import Block

# In granian.toml(5): a service that speaks TLS with what LoadCredential= of its unit names.
EXAMPLE: Final = """\
app = "shop.asgi:application"
interface = "asgi"
working_dir = "/srv/shop"
workers = 4
workers_kill_timeout = "1m"
listen = ["0.0.0.0:8443", "[::]:8443"]

[ssl]
certificate = "credential:tls.crt"
keyfile = "credential:tls.key"

[access_log]
enabled = true
"""


def granian_toml(directory: PurePath) -> str:
    """granian.toml(5).

    Args:
        directory: of the files that the unit reads.
    """
    return manual_page("granian.toml", 5, _granian_toml(f"`{directory}/`*NAME*`.toml`"))


def _granian_toml(file: str) -> Iterator[Block]:
    yield Comment(f"{RENDERED} granian_d/settings.")
    yield Heading("Name", 1)
    yield Paragraph("`granian.toml` - settings of granian-d, a server of Python web applications")
    yield Heading("Synopsis", 1)
    yield Paragraph(file)
    yield Heading("Description", 1)
    yield Paragraph(
        "`granian-d` reads the file that `--config` names; `granian@`*NAME*`.service` names"
        f" {file}. It is TOML: the keys of the first sections stand at the"
        " top of the file, those with a dot in their name in a table, `http1.keep_alive` as"
        " `keep_alive` below `[http1]`. `granianctl sample` prints a file with all of them,"
        " `granianctl check` judges one, and `systemctl reload` applies it."
    )
    yield from PLACES
    yield RELOAD
    yield from (Heading("Values", 1), VALUES)
    yield from (Heading("Listen addresses", 1), *addresses())
    yield Heading("Keys", 1)
    yield from _sections(_key, lambda option: option.in_file)
    yield from (Heading("Atoms of the access log", 1), _ATOMS_OF, atoms())
    yield from (Heading("Examples", 1), Listing(EXAMPLE))
    yield from (Heading("See also", 1), Paragraph("`granian-d`(8), `granianctl`(8)"))


_ATOMS_OF: Final = Paragraph("`access_log.fmt` is a format as of `printf`(3), with names:")


def options() -> Iterator[Block]:
    """The options of granian-d, as its command line has them."""
    yield RELOAD
    yield Paragraph(
        "Durations, octal modes, addresses and relative paths are explained in `granian.toml`(5)."
    )
    yield from _sections(_flags, lambda _: True)
    other = (
        (", ".join(f"`{flag}`" for flag in reversed(HELP_FLAGS)), "Print a summary of this."),
        (", ".join(f"`{flag}`" for flag in VERSION_FLAGS), "Print the version."),
    )
    yield from (Heading("Other", 2), Table((), other))


def _sections(
    row: Callable[[Option], tuple[str, ...]], chosen: Callable[[Option], bool]
) -> Iterator[Block]:
    """A list of options below the title of each section."""
    for section, members in groupby(filter(chosen, OPTIONS.values()), key=lambda one: one.section):
        yield from (Heading(section, 2), Table((), tuple(map(row, members))))


def _key(option: Option) -> tuple[str, ...]:
    written = "" if isinstance(option.kind, Choice) else f" = *{metavar(option)}*"
    same = "" if option.positional else f"`{option.flag}`, "
    facts = (limits(option), _default(option), f"reload: {option.reload}")
    return f"`{option.key}`{written}", option.help, _told(*facts), f"{same}`{option.variable}`"


def _flags(option: Option) -> tuple[str, ...]:
    own_name = option.variable != variable_of_flag(option)
    facts = (
        limits(option),
        _default(option),
        f"reload: {option.reload}",
        f"variable: `{option.variable}`" if own_name else "",
    )
    return _to_write(option), option.help, _told(*facts)


def _to_write(option: Option) -> str:
    if option.positional:
        return f"*{metavar(option)}*"
    if option.switch:
        return f"`{option.flag}`, `{option.negative_flag}`"
    short = f"`{option.short}`, " if option.short else ""
    return f"{short}`{option.flag}` *{metavar(option)}*"


def _default(option: Option) -> str:
    stated = stated_default(option)
    return f"default: {stated}" if stated else ""


def _told(*facts: str) -> str:
    return "; ".join(filter(None, facts))


# The rule by which an option's variable follows from its flag.
VARIABLES: Final = (
    f"Every option is a variable too: `{PREFIX}` and its name in upper case, with `_` for `-`"
    f" (`--http1-max-headers` is `{PREFIX}HTTP1_MAX_HEADERS`), unless its description names"
    " another. Where the option may come several times, blanks stand between its values; a variable"
    " that is empty counts as not set."
)
