"""docs/gaps.md, rendered from gaps.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

GAPS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "gaps.toml").read_text(encoding="utf-8")
)["gap"]

_HEAD = """\
# Gaps of Granian that are closed

<!-- Rendered by `python -m tests.golden.regenerate` from tests/parity/gaps.toml. -->

What was observed on Granian 2.8.7, or read in its source, its documentation and its tracker; what
granian-d does; and the tests that show it. A name that ends in `.md` and a title is a vector of
the wire, which is played on both engines.
"""

_COLUMNS = """
## {area}

| gap | Granian 2.8.7 | granian-d | shown by |
|---|---|---|---|
"""


def render() -> str:
    """The page."""
    lines = [_HEAD]
    area = ""
    for gap in GAPS:
        if gap["area"] != area:
            area = gap["area"]
            lines.append(_COLUMNS.format(area=area))
        shown = ", ".join(f"`{test.removeprefix('tests/')}`" for test in gap["shown_by"])
        lines.append(f"| {gap['id']} | {gap['granian']} | {gap['ours']} | {shown} |\n")
    return "".join(lines)
