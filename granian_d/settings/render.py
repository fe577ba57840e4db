"""TOML made from the options: the sample file and the effective values."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from granian_d.settings.options import OPTIONS
from granian_d.settings.reference import limits
from granian_d.settings.serving import Listen
from granian_d.settings.usage import default

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    told = "; ".join(filter(None, (limits(option), _stated_default(option))))
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


def _stated_default(option: Option) -> str:
    """The default, where the line of the sample does not show it."""
    if option.computed:
        return f"default: {option.computed}"
    if option.key in _ACTIVE and not option.required:
        return f"default: {default(option)}"
    return "default: none" if option.default in (None, "", ()) else ""


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
