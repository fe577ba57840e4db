"""Pages made from the options: the sample file, the reference, the effective values."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe.access_log import ATOMS
from granian_d.settings.credentials import LARGEST_BYTES, MARK
from granian_d.settings.kinds import Choice
from granian_d.settings.options import OPTIONS, PREFIX, fields_of
from granian_d.settings.serving import Listen
from granian_d.settings.usage import bounds, default

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from granian_d.settings.load import Loaded
    from granian_d.settings.options import Option
    from granian_d.settings.toml_lines import KeyPath

_WIDTH: Final = 100
_HIDDEN: Final = "***"  # a secret that was written down
_ACTIVE: Final = ("app", "interface")  # what the sample sets; everything else is a comment

_SAMPLE_HEAD: Final = """\
# granian-d: all options. What is commented out shows its default, or an example where there is
# none. `granianctl check FILE` judges the file, `systemctl reload` (SIGHUP) applies it.
"""

_REFERENCE_HEAD: Final = f"""\
# Settings

<!-- Rendered by `python -m tests.golden.regenerate` from granian_d/settings/model.py. -->

An option can be given in three places. The command line takes precedence over the environment,
that over the TOML file named by `--config`, and that over the default. `granianctl config` prints
the effective values and where each comes from.

| | | |
|---|---|---|
| command line | `--http1-keep-alive`, `--no-http1-keep-alive` | `--workers 4` or `--workers=4` |
| environment | `{PREFIX}HTTP1_KEEP_ALIVE=true` | `{PREFIX}WORKERS=4` |
| TOML | `[http1]` `keep_alive = true` | `workers = 4` |

A key that does not exist, a value of a wrong type and one out of bounds are errors: one line that
names the place and what was expected, exit status 78, and nothing is started or changed. A variable
`{PREFIX}*` that does not exist is a warning.

**Reload** says what SIGHUP does with a change: *live* applies to the master and leaves serving
workers alone, *workers* starts new ones and drains the old, *restart* takes effect with the next
start. A change on the command line or in the environment always takes a restart.

## Values

- **Durations** are seconds (`90`, `1.5`), or days, hours, minutes and seconds in this order
  (`1h30m`); in TOML a number or a string.
- **Octal modes** begin with `0` (`0660`; in TOML `"0660"` or `0o660`). As in Granian, other digits
  are decimal.
- **Choices** are read in any case.
- **Credentials:** a string, path or address `{MARK}NAME` stands for the content of the file
  `NAME` in `$CREDENTIALS_DIRECTORY` (`LoadCredential=` of the unit), without the newline at its
  end: a regular file of at most {LARGEST_BYTES} bytes. Its content is never printed. Where a file
  is wanted (`ssl.certificate`, `keyfile`, `ca`, `crl`, `sni`), it stands for that file itself.
- **Relative paths** of sockets and of `pid_file` are below `$RUNTIME_DIRECTORY`, of log files below
  `$LOGS_DIRECTORY` (`RuntimeDirectory=` and `LogsDirectory=` of the unit; the first, if there are
  several), and below the current directory where these are not set. `working_dir` and the files of
  `ssl` are relative to the TOML file that names them, or else to the current directory.

## Listen addresses

| address | socket |
|---|---|
| `127.0.0.1:8000`, `[::1]:8000` | TCP |
| `example.org:80` | TCP on every address of that name, at the time of start or reload |
| `:8000` | TCP on all addresses, `0.0.0.0` and `[::]` |
| `unix:/run/app.sock`, `unix:@name` | Unix, with a path or an abstract name |
| `fd:3` | a socket that the daemon was started with |
| `systemd:http`, `systemd` | sockets passed by systemd under this `FileDescriptorName=`, or all |

Options follow after commas, `unix:/run/app.sock,mode=0660,group=www-data`; in TOML an entry can be
a table too, `[[listen]]` with `address = "unix:/run/app.sock"` and:

@ENTRY@

`listen` takes the place of `host`, `port` and `uds`. When systemd passes sockets and no entry names
one of them, all of them are served: then `host`, `port` and `uds` are what the socket unit
replaces and are not bound, and entries of `listen` are bound beside.
"""


def sample() -> str:
    """A TOML file with every option, valid as it is."""
    parts = [_SAMPLE_HEAD]
    in_file = (option for option in OPTIONS.values() if option.in_file)
    for section, members in groupby(in_file, key=lambda option: option.section):
        options = list(members)
        parts.append(f"\n# {section}\n")
        if table := options[0].path[:-1]:
            parts.append(f"[{'.'.join(table)}]\n")
        parts += ["\n" + "\n".join(_sample_option(option)) + "\n" for option in options]
    return "".join(parts)


def _sample_option(option: Option) -> Iterator[str]:
    told = "; ".join(filter(None, (_limits(option), _stated_default(option))))
    text = f"{option.help} [{told}]" if told else option.help
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    mark = "" if option.key in _ACTIVE else "#"
    yield f"{mark}{option.path[-1]} = {option.kind.toml(sample_value(option))}"


def sample_value(option: Option) -> Any:
    """The value that the sample shows: the default, or the example where it says nothing."""
    if option.key in _ACTIVE or option.default in (None, "", ()):
        return option.example
    return option.default


def reference() -> str:
    """The reference of all options, in Markdown."""
    parts = [_REFERENCE_HEAD.replace("@ENTRY@", "\n".join(_entry_table()))]
    for section, options in groupby(OPTIONS.values(), key=lambda option: option.section):
        parts.append(f"\n## {section}\n\n" + "\n".join(_option_table(options)) + "\n")
    atoms = (f"| `%({atom})s` | {meaning} |" for atom, meaning in ATOMS.items())
    parts.append("\n### Atoms of `access_log.fmt`\n\n| atom | value |\n|---|---|\n")
    parts.append("\n".join(atoms) + "\n")
    return "".join(parts)


def _entry_table() -> Iterator[str]:
    yield "| key | value | meaning |"
    yield "|---|---|---|"
    for option in fields_of(Listen).values():
        if not option.required:
            yield f"| `{option.key}` | {_cell(_values(option))} | {_cell(option.help)} |"


def _option_table(options: Iterable[Option]) -> Iterator[str]:
    yield "| TOML | command line, environment | value | default | reload | meaning |"
    yield "|---|---|---|---|---|---|"
    for option in options:
        stated = default(option)
        cells = (
            f"`{option.key}`" if option.in_file else "",
            f"`{_flag(option)}` `{option.variable}`",
            _cell(_values(option)),
            stated if option.computed or not stated else f"`{_cell(stated)}`",
            option.reload,
            _cell(option.help),
        )
        yield "| " + " | ".join(cells) + " |"


def _flag(option: Option) -> str:
    if option.positional:
        return option.kind.metavar
    if option.switch:
        return f"--[no-]{option.flag.removeprefix('--')}"
    return ", ".join(filter(None, (option.short, option.flag)))


def _values(option: Option) -> str:
    """What may be written, for a reader."""
    limits = _limits(option)
    if isinstance(option.kind, Choice) or option.unit:
        return limits
    return ", ".join(filter(None, (option.kind.metavar.lower(), limits)))


def _limits(option: Option) -> str:
    """The words of a choice, the unit and the bounds of a number."""
    if isinstance(option.kind, Choice):
        return ", ".join(option.kind.words)
    return ", ".join(filter(None, (option.unit, bounds(option))))


def _stated_default(option: Option) -> str:
    """The default, where the line of the sample does not show it."""
    if option.computed:
        return f"default: {option.computed}"
    if option.key in _ACTIVE and not option.required:
        return f"default: {default(option)}"
    return "default: none" if option.default in (None, "", ()) else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def effective(loaded: Loaded) -> str:
    """The values that count, as TOML, each with its origin; a credential by its name."""
    rows = []
    for option in OPTIONS.values():
        written = _effective_value(loaded, option)
        assignment = f"{option.key} = {written}" if written else f"# {option.key} is not set"
        if not option.in_file and written:
            assignment = f"# {assignment}"  # what a file must not hold
        rows.append((assignment, loaded.origin(*option.path).name))
    width = max(len(assignment) for assignment, _ in rows if len(assignment) < _WIDTH // 2)
    return "".join(f"{assignment.ljust(width)}  # {origin}\n" for assignment, origin in rows)


def _effective_value(loaded: Loaded, option: Option) -> str:
    """The value as TOML; empty for none."""
    value: Any = loaded.settings
    for part in option.path:
        value = getattr(value, part)
    if option.multiple:
        items = [_entry(loaded, (*option.path, at), entry) for at, entry in enumerate(value)]
        return option.kind.toml(items) if items else ""
    if value is not None and option.kind.secret:
        return option.kind.toml(loaded.provenance.secret(option.path) or _HIDDEN)
    if named := loaded.provenance.secret(option.path):
        return option.kind.toml(named)
    return "" if value is None else option.kind.toml(value)


def _entry(loaded: Loaded, path: KeyPath, entry: object) -> str:
    """An entry of a list as one string."""
    secret = loaded.provenance.secret
    if not isinstance(entry, Listen):
        return str(entry)
    if named := secret(path):
        return named
    fields = {name: secret((*path, name)) for name in Listen.model_fields}
    return entry.text({name: named for name, named in fields.items() if named})
