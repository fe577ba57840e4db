"""The reference of the options: as a page of docs/, and in parts for the manual pages."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from granian_d.observe.access_log import ATOMS
from granian_d.settings.credentials import LARGEST_BYTES
from granian_d.settings.kinds import MARK, Choice
from granian_d.settings.options import OPTIONS, PREFIX, fields_of
from granian_d.settings.page import Block, Comment, Heading, Paragraph, Points, Table, markdown
from granian_d.settings.serving import Listen
from granian_d.settings.usage import bounds, default

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from granian_d.settings.options import Option

RENDERED: Final = "Rendered by `python -m tests.golden.regenerate` from"

PLACES: Final[tuple[Block, ...]] = (
    Paragraph(
        "An option can be given in three places. The command line takes precedence over the"
        " environment, that over the TOML file named by `--config`, and that over the default."
        " `granianctl config` prints the effective values and where each comes from."
    ),
    Table(
        ("", "", ""),
        (
            (
                "command line",
                "`--http1-keep-alive`, `--no-http1-keep-alive`",
                "`--workers 4` or `--workers=4`",
            ),
            ("environment", f"`{PREFIX}HTTP1_KEEP_ALIVE=true`", f"`{PREFIX}WORKERS=4`"),
            ("TOML", "`[http1]` `keep_alive = true`", "`workers = 4`"),
        ),
    ),
    Paragraph(
        "A key that does not exist, a value of a wrong type and one out of bounds are errors: one"
        " line that names the place and what was expected, exit status 78, and nothing is started"
        f" or changed. A variable `{PREFIX}*` that does not exist is a warning."
    ),
)

RELOAD: Final = Paragraph(
    "**Reload** says what SIGHUP does with a change: *live* applies to the master and leaves"
    " serving workers alone, *workers* starts new ones and drains the old, *restart* takes effect"
    " with the next start. A change on the command line or in the environment always takes a"
    " restart."
)

VALUES: Final = Points(
    (
        (
            "**Durations** are seconds (`90`, `1.5`), or days, hours, minutes and seconds in this"
            " order (`1h30m`); in TOML a number or a string."
        ),
        (
            '**Octal modes** begin with `0` (`0660`; in TOML `"0660"` or `0o660`). As in Granian,'
            " other digits are decimal."
        ),
        "**Choices** are read in any case.",
        (
            f"**Credentials:** a string, path or address `{MARK}NAME` stands for the content of the"
            " file `NAME` in `$CREDENTIALS_DIRECTORY` (`LoadCredential=` of the unit), without the"
            f" newline at its end: a regular file of at most {LARGEST_BYTES} bytes. Its content is"
            " never printed. Where a file is wanted (`ssl.certificate`, `keyfile`, `ca`, `crl`,"
            " `sni`), it stands for that file itself."
        ),
        (
            "**Relative paths** of sockets and of `pid_file` are below `$RUNTIME_DIRECTORY`, of"
            " log files below `$LOGS_DIRECTORY` (`RuntimeDirectory=` and `LogsDirectory=` of the"
            " unit; the first, if there are several), and below the current directory where these"
            " are not set. `working_dir`, `venv` and the files of `ssl` are relative to the TOML"
            " file that names them, or else to the current directory."
        ),
    )
)

_FORMS: Final = Table(
    ("address", "socket"),
    (
        ("`127.0.0.1:8000`, `[::1]:8000`", "TCP"),
        (
            "`example.org:80`",
            "TCP on every address of that name, at the time of start or reload",
        ),
        ("`:8000`", "TCP on all addresses, `0.0.0.0` and `[::]`"),
        ("`unix:/run/app.sock`, `unix:@name`", "Unix, with a path or an abstract name"),
        ("`fd:3`", "a socket that the daemon was started with"),
        (
            "`systemd:http`, `systemd`",
            "sockets passed by systemd under this `FileDescriptorName=`, or all",
        ),
    ),
)


def addresses() -> tuple[Block, ...]:
    """Where to listen."""
    rows = (
        (f"`{option.key}`", values(option), option.help)
        for option in fields_of(Listen).values()
        if not option.required
    )
    return (
        _FORMS,
        Paragraph(
            "Options follow after commas, `unix:/run/app.sock,mode=0660,group=www-data`; in TOML an"
            ' entry can be a table too, `[[listen]]` with `address = "unix:/run/app.sock"` and:'
        ),
        Table(("key", "value", "meaning"), tuple(rows)),
        Paragraph(
            "`listen` takes the place of `host`, `port` and `uds`. When systemd passes sockets and"
            " no entry names one of them, all of them are served: then `host`, `port` and `uds` are"
            " what the socket unit replaces and are not bound, and entries of `listen` are bound"
            " beside."
        ),
    )


def atoms() -> Table:
    """What a line of the access log can hold."""
    rows = ((f"`%({atom})s`", meaning) for atom, meaning in ATOMS.items())
    return Table(("atom", "value"), tuple(rows))


def reference() -> str:
    """The reference of all options, in Markdown."""
    return markdown(_reference())


def _reference() -> Iterator[Block]:
    yield Heading("Settings", 1)
    yield Comment(f"{RENDERED} granian_d/settings/model.py.")
    yield from (*PLACES, RELOAD, Heading("Values", 2), VALUES)
    yield from (Heading("Listen addresses", 2), *addresses())
    for section, options in groupby(OPTIONS.values(), key=lambda option: option.section):
        yield from (Heading(section, 2), _table(options))
    yield from (Heading("Atoms of `access_log.fmt`", 3), atoms())


def _table(options: Iterable[Option]) -> Table:
    head = ("TOML", "command line, environment", "value", "default", "reload", "meaning")
    return Table(head, tuple(map(_row, options)))


def _row(option: Option) -> tuple[str, ...]:
    return (
        f"`{option.key}`" if option.in_file else "",
        f"`{_flag(option)}` `{option.variable}`",
        values(option),
        stated_default(option),
        option.reload,
        option.help,
    )


def _flag(option: Option) -> str:
    if option.positional:
        return option.kind.metavar
    if option.switch:
        return f"--[no-]{option.flag.removeprefix('--')}"
    return ", ".join(filter(None, (option.short, option.flag)))


def stated_default(option: Option) -> str:
    """The default with its marks; empty where the option is off."""
    stated = default(option)
    return stated if option.computed or not stated else f"`{stated}`"


def values(option: Option) -> str:
    """What may be written, for a reader."""
    told = limits(option)
    if isinstance(option.kind, Choice) or option.unit:
        return told
    return ", ".join(filter(None, (option.kind.metavar.lower(), told)))


def limits(option: Option) -> str:
    """The words of a choice, the unit and the bounds of a number."""
    if isinstance(option.kind, Choice):
        return ", ".join(option.kind.words)
    return ", ".join(filter(None, (option.unit, bounds(option))))
