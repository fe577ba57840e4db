"""Secrets that systemd hands over: `credential:NAME` stands for $CREDENTIALS_DIRECTORY/NAME.

Any string may be one. What is read takes its place before the value is judged; what is shown,
in an error line or by `granianctl config`, stays `credential:NAME`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from granian_d.settings.kinds import MARK
from granian_d.settings.model import ENTRIES
from granian_d.settings.options import OPTIONS, fields_of
from granian_d.settings.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.settings.options import Option
    from granian_d.settings.toml_lines import KeyPath

LARGEST_BYTES: Final = 65536


def references(values: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """The credentials that are named among the values of a source, and where."""
    for option in OPTIONS.values():
        if not option.in_file:
            continue  # it says where the other values are
        value: Any = values
        for part in option.path:
            value = value.get(part) if isinstance(value, dict) else None
        for path, reference in _leaves(option.path, value):
            if option.kind.holds_strings or _is_text_of_entry(option, path):
                yield path, reference


def _is_text_of_entry(option: Option, path: KeyPath) -> bool:
    """The value is a field of an entry, and any text is a value of it."""
    entry = ENTRIES.get(option.key)
    field = fields_of(entry).get(str(path[-1])) if entry is not None else None
    return field is not None and field.kind.holds_strings


def _leaves(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str) and value.startswith(MARK):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves((*path, index), item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves((*path, name), item)


def replace(values: dict[str, Any], path: KeyPath, text: str) -> None:
    """Put `text` in the place of the reference at `path`, keeping its type."""
    *parents, last = path
    parent: Any = values
    for part in parents:
        parent = parent[part]
    parent[last] = type(parent[last])(text)


def credential_file(directory: str, reference: str) -> str:
    """The file of a credential.

    Raises:
        Refusal: there is no directory of credentials, or the name is none.
    """
    name = reference.removeprefix(MARK)
    if not directory:
        raise Refusal(f'"{reference}" cannot be read: CREDENTIALS_DIRECTORY is not set')
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise Refusal(f'"{reference}" does not name a credential')
    return os.path.join(directory, name)


def read_credential(directory: str, reference: str) -> str:
    """The content of a credential, without the newline at its end.

    Raises:
        Refusal: there is none of this name, or it is nothing that systemd would have put there.
    """
    file = credential_file(directory, reference)
    try:
        return _read(Path(file)).decode().removesuffix("\n")
    except OSError as error:
        raise Refusal(f'"{reference}" cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise Refusal(f'"{reference}" is not UTF-8') from error


def _read(path: Path) -> bytes:
    # No link and no pipe: a directory that others could write to must not lead us elsewhere.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a regular file")
        octets = file.read(LARGEST_BYTES + 1)
    if len(octets) > LARGEST_BYTES:
        raise OSError(0, f"larger than {LARGEST_BYTES} bytes")
    return octets
