"""How a field of the model is declared, and how a table reads its fields.

Reload classes, as seen by SIGHUP: "live" concerns the master and leaves serving workers alone,
"workers" needs new workers, "restart" takes a new process.
"""

# No `from __future__ import annotations`: pydantic evaluates those of Table.

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from granian_d.settings.addresses import Address
from granian_d.settings.kinds import KINDS, Choice, Kind

ReloadClass = Literal["live", "workers", "restart"]

# No timer may be longer: epoll counts milliseconds in a C int and overflows after 24 days.
LONGEST_S: Final = 86400


def option(
    default: Any,
    help_: str,
    *,
    kind: str = "",
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    reload: ReloadClass = "workers",
    flag: str = "",
    short: str = "",
    env: str = "",
    example: Any = None,
    aliases: Mapping[str, str] | None = None,
    in_file: bool = True,
    inert: bool = False,
) -> Any:
    """The field of one option.

    Args:
        default: the value when nobody gives one; `...` where somebody must. None says that it
            depends on other options (`COMPUTED`) or that the option is off.
        help_: one sentence.
        kind: a name in `kinds.KINDS`, where the type of the field does not tell.
        unit: of a number, for the reader.
        ge: the smallest value.
        le: the largest value.
        reload: what it takes to apply a change.
        flag: the flag without its dashes, where Granian's is not the derived one.
        short: one letter.
        env: the variable, where Granian's is not the derived one.
        example: a value for the sample file, where the default is none.
        aliases: further words of a choice, and what they mean.
        in_file: whether a TOML file may hold it.
        inert: it is read because Granian has it, and can have no effect here; the help says why.
    """
    facts = {
        "kind": kind,
        "unit": unit,
        "reload": reload,
        "flag": flag,
        "short": short,
        "env": env,
        "example": example,
        "aliases": dict(aliases or {}),
        "in_file": in_file,
        "inert": inert,
    }
    return Field(default, description=help_, ge=ge, le=le, json_schema_extra=facts)


def duration(
    default: float | None, help_: str, *, ge: float, le: float = LONGEST_S, **facts: Any
) -> Any:
    """The field of an option in seconds, which has always an upper bound."""
    value = None if default is None else float(default)
    return option(value, help_, kind="duration", unit="seconds", ge=ge, le=le, **facts)


_KIND_OF_TYPE: Final[dict[Any, str]] = {
    bool: "switch",
    int: "integer",
    str: "string",
    Address: "address",
}


def kind_of(field: FieldInfo) -> Kind | None:
    """How the values of a field are written; None when the field is a table."""
    extra: Any = field.json_schema_extra
    if extra is None:
        return None
    if extra["kind"]:
        return KINDS[str(extra["kind"])]
    type_: Any = field.annotation
    if get_args(type_)[1:] == (type(None),):
        type_ = get_args(type_)[0]
    if words := get_args(type_):
        return Choice(words, extra["aliases"])
    return KINDS[_KIND_OF_TYPE[type_]]


class Table(BaseModel):
    """A TOML table: closed, frozen, strict, and read by the kinds of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, written: Any, info: ValidationInfo) -> Any:
        kind = kind_of(cls.model_fields[str(info.field_name)])
        if kind is None:
            return written
        return kind.read(written)
