"""`granian-d --help`, from the options.

A page has two columns, what to write and what it means; the widths follow the terminal.
"""

from __future__ import annotations

import shutil
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Final

from granian_d.settings.addresses import FORMS
from granian_d.settings.kinds import MARK, Choice, Switch
from granian_d.settings.options import OPTIONS, PREFIX
from granian_d.settings.sources import HELP_FLAGS, VERSION_FLAGS

if TYPE_CHECKING:
    from granian_d.settings.options import Option

NARROWEST: Final = 80
WIDEST: Final = 100
_LEFT: Final = 30  # columns of what to write; what is longer stands on a line of its own

_NOTES: Final = f"""\
ADDRESS is {FORMS}. Options of a Unix socket follow after commas, as in
unix:/run/app.sock,mode=0660,owner=www-data,group=www-data.

DURATION is in seconds, or in days, hours, minutes and seconds as in 1h30m. OCTAL begins with 0, as
in 0660. For TEXT, PATH and ADDRESS, {MARK}NAME stands for the content of
$CREDENTIALS_DIRECTORY/NAME.

Every option is a variable too, {PREFIX} and its name in upper case unless it says otherwise
({PREFIX}HTTP1_KEEP_ALIVE), and a key of the TOML file (keep_alive in the table [http1]). The
command line takes precedence over the environment, and that over the file.

`granianctl sample` prints a TOML file with all options, `granianctl config` the effective values
and where they come from, and `granianctl check FILE` judges a file.
"""


def terminal_width() -> int:
    """The width of the page for this terminal."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((NARROWEST, 24)).columns))


def help_text(width: int) -> str:
    """The whole page."""
    options = OPTIONS.values()
    positional = [option for option in options if option.positional]
    arguments = " ".join(f"[{option.kind.metavar}]" for option in positional)
    lines = [
        f"usage: granian-d [OPTION]... {arguments}",
        "",
        *textwrap.wrap("Serve a Python web application (ASGI, WSGI, RSGI).", width),
        "",
    ]
    for option in positional:
        lines += _row(option.kind.metavar, option.help + _details(option), width)
    for section, members in groupby(options, key=lambda option: option.section):
        lines += ["", f"{section}:"]
        for option in members:
            if not option.positional:
                lines += _row(_to_write(option), option.help + _details(option), width)
    lines += ["", "Other:"]
    lines += _row(", ".join(reversed(HELP_FLAGS)), "Print this page.", width)
    lines += _row(", ".join(VERSION_FLAGS), "Print the version.", width)
    for note in _NOTES.split("\n\n"):
        lines += ["", *textwrap.wrap(note, width, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def bounds(option: Option) -> str:
    """The smallest and the largest value, for a reader."""
    low, high = (
        "" if bound is None else option.kind.text(bound)
        for bound in (option.minimum, option.maximum)
    )
    return f"{low} to {high}" if high else f">= {low}" if low else ""


def default(option: Option) -> str:
    """The default, for a reader; empty where the option is off."""
    if option.computed:
        return option.computed
    if option.default in (None, ..., "", ()):
        return ""
    if isinstance(option.kind, Switch):
        return "on" if option.default else "off"
    return option.kind.text(option.default)


def metavar(option: Option) -> str:
    """The placeholder of a value."""
    return "NAME" if isinstance(option.kind, Choice) else option.kind.metavar


def variable_of_flag(option: Option) -> str:
    """The variable as a reader expects it who knows the flag."""
    return PREFIX + option.flag.removeprefix("--").replace("-", "_").upper()


def _to_write(option: Option) -> str:
    if option.switch:
        return "--[no-]" + option.flag.removeprefix("--")
    return ", ".join(filter(None, (option.short, f"{option.flag} {metavar(option)}")))


def _details(option: Option) -> str:
    """What a number or word may be, the default, and the variable if it has a name of its own."""
    stated = default(option)
    parts = (
        ", ".join(option.kind.words) if isinstance(option.kind, Choice) else "",
        option.unit,
        bounds(option),
        f"default: {stated}" if stated else "",
        "" if option.variable == variable_of_flag(option) else option.variable,
    )
    told = "; ".join(filter(None, parts))
    return f" [{told}]" if told else ""


def _row(left: str, right: str, width: int) -> list[str]:
    left = "  " + left
    indent = " " * _LEFT
    wrapped = textwrap.wrap(right, width - _LEFT, break_long_words=False, break_on_hyphens=False)
    if len(left) > _LEFT - 2:
        return [left, *(indent + line for line in wrapped)]
    return [left.ljust(_LEFT) + wrapped[0], *(indent + line for line in wrapped[1:])]
