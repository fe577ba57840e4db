"""The Plan as one line of JSON, for the pipe between planner and master.

Decoding is as strict as a schema: an unknown, missing or mistyped field raises, because it means
that the two ends are not the same release.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

from granian_d.errors import ConfigError
from granian_d.plan.model import DaemonPlan


def encode(plan: DaemonPlan) -> str:
    """The plan as one line of JSON."""
    return json.dumps(dataclasses.asdict(plan), sort_keys=True, separators=(",", ":"))


def decode(text: str) -> DaemonPlan:
    """The plan that `encode` wrote.

    Raises:
        ConfigError: the text is not a plan of this release.
    """
    try:
        plan = _build(DaemonPlan, json.loads(text), "plan")
    except (ValueError, TypeError) as error:
        message = f"the plan was made by another release of granian-d ({error}): restart to use it"
        raise ConfigError(message) from error
    assert isinstance(plan, DaemonPlan)
    return plan


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value`, checked against the annotation `kind`, dataclasses rebuilt."""
    if dataclasses.is_dataclass(kind):
        return _build_record(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        good = value in arguments
    elif origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{where}: not a list")
        return tuple(_build(arguments[0], item, where) for item in value)
    elif origin in (typing.Union, types.UnionType):
        records = [option for option in arguments if dataclasses.is_dataclass(option)]
        if records and isinstance(value, dict):
            return _build_record(records[0], value, where)
        good = any(type(value) is option for option in arguments)
    else:
        good = type(value) is kind or (kind is float and type(value) is int)
    if not good:
        raise TypeError(f"{where}: {type(value).__name__} is not {kind}")
    return value


def _build_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where}: not an object")
    hints = typing.get_type_hints(kind)
    if set(value) != set(hints):
        raise TypeError(f"{where}: fields differ: {sorted(set(value) ^ set(hints))}")
    fields = {name: _build(hints[name], value[name], f"{where}.{name}") for name in hints}
    return kind(**fields)
