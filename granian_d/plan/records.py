"""Records of plain data, frozen dataclasses, from what JSON gives: checked against annotations.

Writing needs no code: `json.dumps(dataclasses.asdict(record))`. Keys of mappings become strings
there and are made numbers again here; an infinity is written as JSON has it not, but Python.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import types
import typing
from typing import Any, Final, NamedTuple

if typing.TYPE_CHECKING:
    from collections.abc import Mapping


class Reading(NamedTuple):
    """How a record is read.

    Attributes:
        names: what annotations mention and their module imports for type checkers only.
        tolerant: another release may have written it: fields that nobody knows are ignored,
            those that are missing take the default. Else both are faults.
        spares: records, by their type, whose fields stand in for missing ones without default.
    """

    names: Mapping[str, Any] = types.MappingProxyType({})
    tolerant: bool = False
    spares: Mapping[type, Any] = types.MappingProxyType({})


STRICT: Final = Reading()


def build(kind: Any, value: Any, where: str, reading: Reading = STRICT) -> Any:
    """`value` as the annotation `kind` wants it, records rebuilt; `where` is its name in a fault.

    Raises:
        TypeError: it is something else, or fields differ.
    """
    if dataclasses.is_dataclass(kind):
        return _build_record(kind, value, where, reading)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        good = value in arguments
    elif origin is tuple:
        return _build_tuple(arguments, value, where, reading)
    elif origin is collections.abc.Mapping:
        return _build_mapping(arguments, value, where, reading)
    elif origin in (typing.Union, types.UnionType):
        records = [option for option in arguments if dataclasses.is_dataclass(option)]
        if records and isinstance(value, dict):
            return _build_record(records[0], value, where, reading)
        good = any(type(value) is option for option in arguments)
    else:
        good = type(value) is kind or (kind is float and type(value) is int)
    if not good:
        raise TypeError(f"{where}: {type(value).__name__} is not {kind}")
    return value


def _build_tuple(kinds: tuple[Any, ...], value: Any, where: str, reading: Reading) -> Any:
    if not isinstance(value, list):
        raise TypeError(f"{where}: not a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise TypeError(f"{where}: {len(value)} items are not {len(kinds)}")
    return tuple(build(kind, item, where, reading) for kind, item in zip(kinds, value, strict=True))


def _build_mapping(kinds: tuple[Any, ...], value: Any, where: str, reading: Reading) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where}: not an object")
    key_kind, kind = kinds
    try:
        return {
            key_kind(key): build(kind, item, f"{where}.{key}", reading)
            for key, item in value.items()
        }
    except ValueError as error:
        raise TypeError(f"{where}: {error}") from error


def _build_record(kind: Any, value: Any, where: str, reading: Reading) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where}: not an object")
    names = dict(reading.names)
    hints = typing.get_type_hints(kind, localns=names) if names else _hints_of(kind)
    if not reading.tolerant and set(value) != set(hints):
        raise TypeError(f"{where}: fields differ: {sorted(set(value) ^ set(hints))}")
    fields = {
        name: build(hints[name], value[name], f"{where}.{name}", reading)
        for name in hints
        if name in value
    }
    spare = reading.spares.get(kind)
    for field in dataclasses.fields(kind):
        if field.name in fields or _has_default(field):
            continue
        if spare is None:
            raise TypeError(f"{where}: {field.name} is missing")
        fields[field.name] = getattr(spare, field.name)
    return kind(**fields)


@functools.cache  # a plan is read at each reload, and evaluating annotations leaves holes in memory
def _hints_of(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def spares_of(record: Any) -> dict[type, Any]:
    """The record and those in its fields, by their types. What stands in lists stands for nothing
    but itself and is left out.
    """
    found = {type(record): record}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            found |= spares_of(value)
    return found
