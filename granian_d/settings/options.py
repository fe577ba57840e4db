"""The options, derived from the model: what each is called in every source, and what it expects.

Names follow from the path of the field. `http1.keep_alive` is the TOML key; the flag has dashes
(`--http1-keep-alive`), the variable is upper case (`GRANIAN_HTTP1_KEEP_ALIVE`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from annotated_types import Ge, Le

from granian_d.settings.fields import kind_of
from granian_d.settings.kinds import Several, Switch
from granian_d.settings.model import COMPUTED, SECTIONS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from granian_d.settings.fields import ReloadClass
    from granian_d.settings.kinds import Kind

PREFIX: Final = "GRANIAN_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option, or one field of an entry of a list (`model.ENTRIES`)."""

    path: tuple[str, ...]
    section: str
    help: str
    kind: Kind
    default: Any  # None: off, or computed; Ellipsis: required
    computed: str  # how the default follows from other options
    example: Any
    unit: str
    minimum: float | None
    maximum: float | None
    reload: ReloadClass
    flag: str
    short: str
    variable: str
    in_file: bool
    inert: bool

    @property
    def key(self) -> str:
        """The TOML key, dotted."""
        return ".".join(self.path)

    @property
    def required(self) -> bool:
        """Whether somebody must give a value."""
        return self.default is ...

    @property
    def positional(self) -> bool:
        """Whether the command line has it without a flag."""
        return self.required

    @property
    def switch(self) -> bool:
        """Whether the flag takes no value and has a negative form."""
        return isinstance(self.kind, Switch)

    @property
    def multiple(self) -> bool:
        """Whether the flag may come several times."""
        return isinstance(self.kind, Several)

    @property
    def negative_flag(self) -> str:
        """The flag that switches it off."""
        return "--no-" + self.flag.removeprefix("--")

    @property
    def expected(self) -> str:
        """What a value must be, to follow "is not"."""
        return self.kind.expected(self.minimum, self.maximum)


def _option(path: tuple[str, ...], field: FieldInfo, section: str) -> Option | None:
    kind = kind_of(field)
    if kind is None:
        return None
    facts: Any = field.json_schema_extra
    bounds = {type(bound): bound for bound in field.metadata}
    return Option(
        path=path,
        section=section,
        help=str(field.description),
        kind=kind,
        default=... if field.is_required() else field.default,
        computed=COMPUTED[path[0]].note if path[0] in COMPUTED else "",
        example=facts["example"],
        unit=facts["unit"],
        minimum=bounds[Ge].ge if Ge in bounds else None,
        maximum=bounds[Le].le if Le in bounds else None,
        reload=facts["reload"],
        flag="--" + (facts["flag"] or "-".join(path).replace("_", "-")),
        short="-" + facts["short"] if facts["short"] else "",
        variable=PREFIX + (facts["env"] or "_".join(path).upper()),
        in_file=facts["in_file"],
        inert=facts["inert"],
    )


def fields_of(model: type[BaseModel]) -> dict[str, Option]:
    """The options among a model's own fields, by name."""
    found = {name: _option((name,), field, "") for name, field in model.model_fields.items()}
    return {name: option for name, option in found.items() if option}


def _walk() -> Iterator[Option]:
    section = ""
    for name, field in Settings.model_fields.items():
        section = SECTIONS.get(name, section)
        option = _option((name,), field, section)
        if option:
            yield option
            continue
        table: Any = field.annotation
        title = str(table.__doc__).rstrip(".")
        for inner, inner_field in table.model_fields.items():
            option = _option((name, inner), inner_field, title)
            assert option is not None, "tables have no tables"
            yield option


OPTIONS: Final[dict[str, Option]] = {option.key: option for option in _walk()}
TABLES: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(option.path[0] for option in OPTIONS.values() if len(option.path) > 1)
)
