"""The package as data: its modules, read and parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "granian_d"


class Module(NamedTuple):
    """One source file."""

    path: str  # granian_d/plan/wire.py
    text: str
    tree: ast.Module


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Module(str(path.relative_to(ROOT)), text, ast.parse(text)))
    return tuple(found)


def walk(*kinds: type[ast.AST]):
    """Every node of these kinds, as (place, node); a place is "path:line"."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, kinds):
                yield f"{module.path}:{node.lineno}", node


def packages() -> list[Path]:
    """Every folder of the package that is a package."""
    return sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
