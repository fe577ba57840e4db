"""Each gap that we claim to have closed has a test, and the test is there."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.architecture.source import ROOT
from tests.parity.gaps import GAPS


@cache
def shown_in(path: str) -> set[str]:
    """The names of a file's tests; of a file of vectors their titles."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return {line[4:] for line in text.splitlines() if line.startswith("### ")}
    nodes = ast.walk(ast.parse(text))
    return {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_no_gap_is_told_twice() -> None:
    assert len({gap["id"] for gap in GAPS}) == len(GAPS)


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap["id"])
def test_a_gap_has_tests_that_exist(gap) -> None:
    assert set(gap) == {"id", "area", "granian", "ours", "shown_by"}
    assert gap["shown_by"]
    for test in gap["shown_by"]:
        path, _, name = test.partition("::")
        assert name in shown_in(path), test
