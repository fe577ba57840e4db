"""`env_files`: variables for the application's environment, as python-dotenv reads them.

A later file overrides an earlier one, and may refer to what that has said (`${NAME}`); what is in
the environment of the daemon already is kept. None of it is an option of granian-d: options have
been read before. What cannot be understood is refused, not passed over, and never quoted: it may be
a secret.
"""

from __future__ import annotations

from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from granian_d.settings.load import Loaded
    from granian_d.settings.toml_lines import KeyPath

MOST_BYTES: Final = 1 << 18  # of all files: with the rest of the plan they go through one pipe


def plan_environment(loaded: Loaded) -> tuple[tuple[str, str], ...]:
    """The variables that the files add, by name.

    Raises:
        ConfigError: a file is not there, cannot be read or understood, or python-dotenv is missing.
    """
    written = loaded.settings.env_files
    if not written or loaded.surroundings.rehearsal:
        return ()
    if find_spec("dotenv") is None:
        reason = "needs python-dotenv, which is not installed: pip install granian-d[dotenv]"
        raise loaded.refusal(("env_files",), reason)
    text = "\n".join(_read(loaded, at, file) for at, file in enumerate(written))
    if len(text) > MOST_BYTES:
        raise loaded.refusal(("env_files",), f"more than {MOST_BYTES >> 10} KiB")
    from dotenv import dotenv_values  # noqa: PLC0415 - only who wants it has it

    values = dotenv_values(stream=StringIO(text))
    added = {name: value for name, value in values.items() if value is not None}
    for name, value in added.items():
        if not name or "=" in name or "\0" in name + value:
            raise loaded.refusal(("env_files",), "one of the variables cannot be in an environment")
    kept = loaded.surroundings.variables
    return tuple(sorted((name, value) for name, value in added.items() if name not in kept))


def _read(loaded: Loaded, at: int, written: str) -> str:
    """The text of a file, each line of which can be understood."""
    path: KeyPath = ("env_files", at)
    file = loaded.beside(path, written)
    try:
        with Path(file).open("rb") as stream:
            text = stream.read(MOST_BYTES + 1).decode()
    except OSError as error:
        raise loaded.refusal(path, f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise loaded.refusal(path, f"{file} is not UTF-8") from error
    from dotenv.parser import parse_stream  # noqa: PLC0415 - as above

    for binding in parse_stream(StringIO(text)):
        if binding.error:
            reason = f"{file}:{binding.original.line} is not NAME=VALUE"
            raise loaded.refusal(path, reason)
    return text
