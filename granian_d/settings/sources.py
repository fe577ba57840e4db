"""The three sources of values: command line, environment, TOML file.

Each is read by a function without I/O (but for the file) into a Reading: values nested as in the
model, and the origin of each. Nothing is judged here but the form of the source itself: values are
typed and bounded by the model. A Reading becomes a source of pydantic-settings, which merges them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_settings import PydanticBaseSettingsSource

from granian_d.errors import ConfigError
from granian_d.settings.kinds import Several, Text
from granian_d.settings.options import OPTIONS, PREFIX, Option
from granian_d.settings.origin import Origin, argument, file_line, hint, one_line, variable
from granian_d.settings.toml_lines import KeyPath, key_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

HELP_FLAGS: Final = ("--help", "-h")
VERSION_FLAGS: Final = ("--version",)

_POSITIONAL: Final = next(option for option in OPTIONS.values() if option.positional)
_FLAGS: Final[dict[str, tuple[Option, bool]]] = {
    **{option.flag: (option, True) for option in OPTIONS.values() if not option.positional},
    **{option.short: (option, True) for option in OPTIONS.values() if option.short},
    **{option.negative_flag: (option, False) for option in OPTIONS.values() if option.switch},
}
_VARIABLES: Final = {option.variable: option for option in OPTIONS.values()}
_TOMLLIB_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(slots=True)
class Reading:
    """What one source holds."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    secrets: dict[KeyPath, str] = field(default_factory=dict)  # credentials, as they are named
    warnings: tuple[str, ...] = ()

    def origin(self, path: KeyPath) -> Origin | None:
        """Where the value at `path` was written: itself, or else what encloses it."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[:-1]
        return None

    def written(self, path: KeyPath, value: Any) -> Any:
        """What was written at `path`, or `value` where it was not written on its own."""
        found: Any = self.values
        for part in path:
            if isinstance(found, str):
                return value
            try:
                found = found[part]
            except (LookupError, TypeError):
                return value
        return found

    def drop(self, path: KeyPath) -> None:
        """Take the value at `path` away; its origin stays known."""
        *parents, last = path
        parent: Any = self.values
        for part in parents:
            parent = parent[part]
        parent.pop(last, None)

    def put(self, option: Option, written: Any, origin: Origin) -> None:
        """Note a value; of several flags the last one counts, or all of them add up."""
        *tables, name = option.path
        values = self.values
        for table in tables:
            values = values.setdefault(table, {})
        if option.multiple:
            items = values.setdefault(name, [])
            added = written if isinstance(written, list) else [written]
            for index, item in enumerate(added, start=len(items)):
                items.append(item)
                self.origins[(*option.path, index)] = origin
            self.origins.setdefault(option.path, origin)
        else:
            values[name] = written
            self.origins[option.path] = origin


class ReadingSource(PydanticBaseSettingsSource):
    """A Reading, as pydantic-settings takes it."""

    def __init__(self, settings: type[BaseSettings], reading: Reading) -> None:
        super().__init__(settings)
        self.reading = reading

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the signature is pydantic-settings'
        """The value of one field of the model."""
        return self.reading.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values, unknown keys too: the model refuses them."""
        return self.reading.values


def asked_for(argv: Sequence[str]) -> str:
    """Whether the command line asks for "help" or "version", wherever it stands, or for neither."""
    words = iter(argv)
    for word in words:
        if word == "--":
            break
        if word in HELP_FLAGS:
            return "help"
        if word in VERSION_FLAGS:
            return "version"
        if word in _FLAGS and not _FLAGS[word][0].switch:
            next(words, None)
    return ""


def read_arguments(argv: Sequence[str]) -> Reading:
    """The command line: `[OPTIONS] [APP]`; flags may stand before and after APP.

    Raises:
        ConfigError: a word that is no option, a flag without its value, a second APP.
    """
    reading = Reading()
    words = iter(enumerate(argv))
    for position, word in words:
        if word == "--":
            for later, rest in words:
                _put_positional(reading, rest, later)
        elif word.startswith("-") and word != "-":
            flag, attached = _split_flag(word)
            if flag not in _FLAGS:
                known = (*_FLAGS, *HELP_FLAGS, *VERSION_FLAGS)
                raise ConfigError(one_line(f"{flag}: unknown option{hint(flag, known)}"))
            option, truth = _FLAGS[flag]
            origin = argument(position, flag)
            if option.switch:
                if attached is not None:
                    raise ConfigError(f"{flag}: takes no value")
                reading.put(option, truth, origin)
                continue
            if attached is None:
                _, attached = next(words, (0, None))
            if attached is None:
                raise ConfigError(f"{flag}: needs a value: {option.expected}")
            reading.put(option, _text(attached, origin), origin)
        else:
            _put_positional(reading, word, position)
    return reading


def _split_flag(word: str) -> tuple[str, str | None]:
    """The flag, and the value that is attached to it: `--flag=value`, `-cvalue`."""
    if word.startswith("--"):
        flag, equals, attached = word.partition("=")
        return flag, attached if equals else None
    return word[:2], word[2:] or None


def _put_positional(reading: Reading, word: str, position: int) -> None:
    if _POSITIONAL.path in reading.origins:
        first = reading.values[_POSITIONAL.key]
        name = _POSITIONAL.kind.metavar
        line = f'{word}: unexpected argument; {name} is "{first}" already'
        raise ConfigError(one_line(line))
    origin = argument(position, _POSITIONAL.kind.metavar)
    reading.put(_POSITIONAL, _text(word, origin), origin)


def _text(word: str, origin: Origin) -> Text:
    """A word of the command line or the environment, which may hold any octets."""
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{origin.name}: not UTF-8") from error
    return Text(word)


def read_environment(environ: Mapping[str, str]) -> Reading:
    """The GRANIAN_* variables. An empty one counts as not set, as in Granian.

    One that is not known is a warning: a service may carry over Granian's own.
    """
    reading = Reading(warnings=tuple(_unknown_variables(environ)))
    for position, (name, option) in enumerate(_VARIABLES.items()):
        if words := environ.get(name, ""):
            origin = variable(position, name)
            text = _text(words, origin)
            written: Any = text
            if isinstance(option.kind, Several):
                written = [Text(word) for word in option.kind.split(text)]
            reading.put(option, written, origin)
    return reading


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in _VARIABLES]
    return [
        one_line(f"{name}: unknown variable, ignored{hint(name, _VARIABLES, PREFIX)}")
        for name in sorted(unknown)
    ]


def read_toml(file: str) -> Reading:
    """The TOML file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or holds what only belongs elsewhere.
    """
    try:
        octets = Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(one_line(f"{file}: cannot be read: {reason}")) from error
    try:
        text = octets.decode()
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        number = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError(one_line(f"{file}:{number}: not UTF-8")) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(one_line(_syntax_error(file, text, str(error)))) from error
    origins = {path: file_line(file, line) for path, line in key_lines(text).items()}
    for option in OPTIONS.values():
        if not option.in_file and option.path in origins:
            where = f"only {option.flag} and {option.variable} can name it"
            raise ConfigError(origins[option.path].line(option.path, where))
    return Reading(values, origins)


def _syntax_error(file: str, text: str, message: str) -> str:
    """The message of tomllib ends with the place; ours begin with it."""
    place = _TOMLLIB_PLACE.search(message)
    reason = message[: place.start()] if place else message
    if place and place[1]:
        return f"{file}:{place[1]}: not valid TOML: {reason} at column {place[2]}"
    return f"{file}:{text.rstrip().count(chr(10)) + 1}: not valid TOML: {reason} at the end"
