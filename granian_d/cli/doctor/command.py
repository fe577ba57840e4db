"""`granianctl doctor`: gather, examine, tell."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from granian_d.cli.doctor.checks import examine
from granian_d.cli.doctor.finding import LEVELS
from granian_d.cli.doctor.gather import Gathering
from granian_d.cli.operate import plain
from granian_d.cli.unit_file import CONFIGURATION
from granian_d.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.cli.doctor.checks import Found
    from granian_d.cli.doctor.facts import Facts

FORMAT: Final = 1  # of what machines are told; grows when something in it changes its meaning


def run(name: str | None, file: str | None, *, as_json: bool) -> int:
    """Look at an instance, at a file, or at all instances; the exit status.

    Args:
        name: of an instance, as in granian@NAME.
        file: a TOML file, instead.
        as_json: for machines (docs/doctor.md).

    Returns:
        0, or 78 (EX_CONFIG) when there is a fault.

    Raises:
        ConfigError: there is nothing to look at.
    """
    examined = [(facts, examine(facts)) for facts in _subjects(name, file)]
    if as_json:
        sys.stdout.write(json.dumps(_document(examined), indent=2) + "\n")
    else:
        for facts, found in examined:
            sys.stdout.writelines(f"{plain(line)}\n" for line in lines(facts, found))
    faults = any(each.finding.level == "fault" for _, found in examined for each in found)
    return ConfigError.exit_code if faults else 0


def _subjects(name: str | None, file: str | None) -> list[Facts]:
    gathering = Gathering()
    if file is not None:
        return [gathering.file(file)]
    if name is not None:
        return [gathering.instance(name)]
    names = gathering.names()
    if not names:
        raise ConfigError(f"there is no {CONFIGURATION}/*.toml; name a file with --config FILE")
    return [gathering.instance(each) for each in names]


def lines(facts: Facts, found: list[Found]) -> Iterator[str]:
    """What a person is told of one instance: a line for each finding, and their number."""
    title = facts.service if facts.name else facts.file
    for _, finding in found:
        mend = f" => {finding.mend}" if finding.mend else ""
        text = " ".join(f"{finding.what}: {finding.why}{mend}".split())
        yield f"{title}: {finding.level}: {text}"
    counts = Counter(each.finding.level for each in found)
    if counts["fault"] or counts["warning"]:
        yield f"{title}: {_counted(counts)}"
    else:
        notes = f" ({_counted(counts)})" if counts else ""
        yield f"{title}: nothing is wrong{notes}"


def _counted(counts: Counter[Any]) -> str:
    """How many of each level: "1 fault, 2 warnings"."""
    return ", ".join(
        f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}"
        for level in LEVELS
        if counts[level]
    )


def _document(examined: list[tuple[Facts, list[Found]]]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "instances": [
            {
                "name": facts.name,
                "file": facts.file,
                "findings": [{"check": each.check, **each.finding._asdict()} for each in found],
            }
            for facts, found in examined
        ],
        "counts": {
            level: sum(each.finding.level == level for _, found in examined for each in found)
            for level in LEVELS
        },
    }
