"""Renders docs/wire-support.md from rules.toml and the vectors.

Run it (`python -m tests.wire.wire_support`) after a change of either.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from tests.wire.vector_files import load

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "wire-support.md"
RULES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "rules.toml").read_text())[
    "rule"
]

_INTRODUCTION = """\
# What of HTTP/1.1 is supported

<!-- Rendered from tests/wire/rules.toml and tests/wire/vectors/; do not edit. -->

Every requirement of RFC 9110 and RFC 9112 that concerns an origin server is a row below, with the
place that enforces it and the vectors that show it (in `tests/wire/vectors/`; `(3)` is three of
them in that file). Every vector is played whole, octet by octet and in random pieces, followed by
another request where the connection stays and where it does not.

MUST, SHOULD and MAY are the RFC's words; OWN is where we ask for more than it does.
"""

_CHAPTERS = {
    "kept": ("Kept", "Enforced by the daemon, whatever the application does."),
    "deviates": ("Not followed, on purpose", ""),
    "application": (
        "Left to the application",
        (
            "What it says is passed on; the daemon neither adds to it nor checks it. Files that are"
            " served without an application keep these rules, as far as they concern GET and HEAD:"
            " [static.md](static.md)."
        ),
    ),
    "absent": ("Not applicable", ""),
}


@cache
def vectors_by_rule() -> dict[str, list[tuple[str, str]]]:
    """For each rule id, the (file, name) of the vectors that name it."""
    shown: dict[str, list[tuple[str, str]]] = {}
    for vector in load():
        for rule in vector.rules:
            shown.setdefault(rule, []).append((vector.file, vector.name))
    return shown


def render() -> str:
    """The whole document."""
    shown = vectors_by_rule()
    parts = [_INTRODUCTION]
    for stance, (title, introduction) in _CHAPTERS.items():
        rows = [rule for rule in RULES if rule["stance"] == stance]
        parts.append(f"\n## {title}\n")
        if introduction:
            parts.append(f"\n{introduction}\n")
        for rfc in (9112, 9110):
            chosen = [rule for rule in rows if rule["rfc"] == rfc]
            if chosen:
                parts.append(f"\n### {title}: RFC {rfc}\n\n" + _table(chosen, shown))
    return "".join(parts)


def _table(rules: list[dict[str, Any]], shown: dict[str, list[tuple[str, str]]]) -> str:
    with_why = any("why" in rule for rule in rules)
    with_where = any("where" in rule for rule in rules)
    header = ["Section", "Level", "Rule"]
    header += ["Why"] * with_why + ["Where", "Shown by"] * with_where
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for rule in rules:
        cells = [rule["section"], rule["level"], rule["rule"].replace("|", "\\|")]
        if with_why:
            cells.append(rule.get("why", ""))
        if with_where:
            where = [place.replace(":", " ") for place in rule.get("where", ())]
            cells.append(", ".join(f"`{place}`" for place in where))
            cells.append(_witnesses(rule, shown.get(rule["id"], [])))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _witnesses(rule: dict[str, Any], vectors: list[tuple[str, str]]) -> str:
    counts: dict[str, int] = {}
    for file, _ in vectors:
        counts[file] = counts.get(file, 0) + 1
    cells = [f"{file} ({count})" if count > 1 else file for file, count in counts.items()]
    cells += [test.partition("::")[2] for test in rule.get("shown_by", ())]
    return ", ".join(cells)


if __name__ == "__main__":
    DOCUMENT.write_text(render())
