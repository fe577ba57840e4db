"""All checks, in the order in which a person would look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.cli.doctor import of_file, of_machine, of_service, of_unit
from granian_d.cli.doctor.finding import LEVELS, Check, Finding

if TYPE_CHECKING:
    from granian_d.cli.doctor.facts import Facts

CHECKS: Final[tuple[Check, ...]] = (
    *of_file.CHECKS,
    *of_service.CHECKS,
    *of_unit.CHECKS,
    *of_machine.CHECKS,
)


class Found(NamedTuple):
    """A finding, and the name of the check that made it."""

    check: str
    finding: Finding


def examine(facts: Facts) -> list[Found]:
    """What is wrong, the worst first."""
    found = [Found(check.name, finding) for check in CHECKS for finding in check.find(facts)]
    order = list(LEVELS)
    return sorted(found, key=lambda each: order.index(each.finding.level))
