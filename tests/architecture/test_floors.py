"""The house as it is drawn: floors, names of rooms, a page for each."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.architecture.source import PACKAGE, ROOT, modules, packages

# Names under which anything could be put, so that nothing is found.
NAMELESS = {"base", "common", "core", "helpers", "manager", "misc", "utils"}


def test_imports_go_down_only():
    pytest.importorskip("importlinter", reason="the lint tools are not installed here")
    # The code of the lint-imports program; it is a new process, because it reads sys.path.
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rooms_have_telling_names():
    stems = {path.stem for path in PACKAGE.rglob("*") if path.suffix in (".py", "")}
    stems.remove("utils")  # Granian's name, which programs import
    assert stems.isdisjoint(NAMELESS | {name.rstrip("s") for name in NAMELESS})


def test_every_package_has_its_page():
    missing = [
        str(room.relative_to(ROOT)) for room in packages() if not (room / "README.md").is_file()
    ]
    assert not missing


def test_a_page_is_one_page_and_begins_with_its_name():
    for room in packages():
        page = room / "README.md"
        if page.is_file():
            text = page.read_text(encoding="utf-8")
            assert text.startswith("# "), page
            assert text.count("\n") <= 90, page


def test_a_page_names_files_that_exist():
    """What stands in backticks at the head of a row of a table of files is a file of that room."""
    wrong = []
    for room in packages():
        page = room / "README.md"
        for line in page.read_text(encoding="utf-8").splitlines() if page.is_file() else ():
            name = line.removeprefix("| `").partition("`")[0] if line.startswith("| `") else ""
            if name.endswith((".py", "/")) and not (room / name).exists():
                wrong.append(f"{page.relative_to(ROOT)}: {name}")
    assert not wrong


def test_private_names_stay_in_their_package():
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("granian_d"):
                same = node.module.rpartition(".")[0] == module.path.rpartition("/")[0].replace(
                    "/", "."
                )
                wrong += [
                    f"{module.path}:{node.lineno}: {alias.name}"
                    for alias in node.names
                    if alias.name.startswith("_") and not alias.name.startswith("__") and not same
                ]
                steps = node.module.split(".")
                wrong += [
                    f"{module.path}:{node.lineno}: {step}" for step in steps if step.startswith("_")
                ]
    assert not wrong
