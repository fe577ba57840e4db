"""The model's faults in the words of its users: one line, with the place and what was expected.

pydantic tells which rule failed; what the user should have written follows from the option. Only a
`Refusal` speaks for itself. The value that is shown is the one that was written, never a secret.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from granian_d.settings.kinds import Text
from granian_d.settings.model import ENTRIES
from granian_d.settings.options import OPTIONS, TABLES, Option, fields_of
from granian_d.settings.origin import dotted, hint, option_path
from granian_d.settings.refusal import Refusal

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from granian_d.settings.fields import Table
    from granian_d.settings.origin import Fault
    from granian_d.settings.provenance import Provenance
    from granian_d.settings.toml_lines import KeyPath

_LONGEST_SHOWN: Final = 60
_ONE: Final = {"addresses": "an address"}


def explain(error: ValidationError, provenance: Provenance) -> list[Fault]:
    """Every fault that the model found."""
    return [_explain(detail, provenance) for detail in error.errors(include_url=False)]


def _explain(detail: ErrorDetails, provenance: Provenance) -> Fault:
    """The model's fault in the words of its user."""
    path: KeyPath = detail["loc"]
    reason = detail.get("ctx", {}).get("error")
    if detail["type"] == "missing":
        return _explain_missing(path, provenance)
    if detail["type"] == "extra_forbidden":
        hinted = hint(dotted(path), _known_keys(path))
        return provenance.fault(path, f"unknown key{hinted}")
    secret = provenance.secret(path)
    if not isinstance(reason, Refusal) or secret:
        shown = quote(secret) if secret else _show(detail["input"], path, provenance)
        reason = f"{shown} is not {_expected(path)}"
    return provenance.fault(_written_path(path, provenance), str(reason))


def _written_path(path: KeyPath, provenance: Provenance) -> KeyPath:
    """The path without the key `address` of an entry of `listen` that was written as a string."""
    owner = provenance.owner(path)
    entry = owner.written(path[:-1], None) if owner else None
    return path[:-1] if path[-1] == "address" and isinstance(entry, str) else path


def _explain_missing(path: KeyPath, provenance: Provenance) -> Fault:
    option = OPTIONS.get(dotted(path))
    if option is None:
        return provenance.fault(path[:-1], f"has no {path[-1]}")
    places = f"the argument {option.kind.metavar}, {option.variable} or {option.key} in the file"
    return provenance.fault(path, f"missing; give it as {places}")


def _known_keys(path: KeyPath) -> list[str]:
    if entry := _entry_around(path):
        return [dotted((*path[:-1], name)) for name in entry.model_fields]
    return [*(option.key for option in OPTIONS.values() if option.in_file), *TABLES]


def _entry_around(path: KeyPath) -> type[Table] | None:
    """What the entry of a list is made of, if `path` leads to a field of one."""
    whole = option_path(path)
    return ENTRIES.get(dotted(whole)) if len(path) > len(whole) + 1 else None


def _option(path: KeyPath) -> Option | None:
    """The option, or the field of an entry of a list."""
    if entry := _entry_around(path):
        return fields_of(entry)[str(path[-1])]
    return OPTIONS.get(dotted(path))


def _expected(path: KeyPath) -> str:
    option = _option(path)
    if option is not None:
        return option.expected
    if not isinstance(path[-1], int):
        return "a table"
    entry = ENTRIES.get(dotted(path[:-1]))
    if entry is None:
        return "a string"
    one = OPTIONS[dotted(path[:-1])].kind.noun.removeprefix("a list of ")
    return f"{_ONE.get(one, one)}, or a table of {', '.join(entry.model_fields)}"


def _show(value: Any, path: KeyPath, provenance: Provenance) -> str:
    """The value as it was written; a TOML string where no string belongs is called one."""
    option = _option(path)
    if option is not None and option.kind.secret:
        return "what is written here"
    owner = provenance.owner(path)
    if owner is not None:
        value = owner.written(path, value)
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            alien = not isinstance(value, Text) and option is not None and not option.kind.quoted
            return ("the string " if alien else "") + quote(value)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)


def quote(text: str) -> str:
    """The text in quotes, cut where it would fill the line."""
    shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    return json.dumps(shown, ensure_ascii=False)
