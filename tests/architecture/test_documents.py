"""Documents that repeat what the code says are compared with it."""

from __future__ import annotations

import itertools
import re

from granian_d.settings.options import OPTIONS
from granian_d.supervisor.vocabulary import SIGNALS
from tests.architecture.source import PACKAGE, ROOT


def rows(page: str) -> list[list[str]]:
    """The cells of the tables of a Markdown page, without heads."""
    lines = page.splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for above, line in itertools.pairwise(lines)
        if line.startswith("|") and above.startswith("|") and not re.fullmatch(r"[|\s:-]+", line)
    ]


def test_the_page_about_signals_is_the_table_of_signals():
    page = (ROOT / "docs/signals.md").read_text(encoding="utf-8")
    written = {name: meaning for name, meaning, _ in rows(page)}
    assert written == {f"`SIG{name}`": meaning for name, (_, meaning) in SIGNALS.items()}


def test_the_glossary_explains_every_word_once():
    page = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = [word for cell, _ in rows(page) for word in cell.split(", ")]
    assert len(words) == len(set(words))
    assert all(meaning for _, meaning in rows(page))


def test_the_drawing_shows_every_room():
    page = (PACKAGE / "README.md").read_text(encoding="utf-8")
    drawing = page.partition("    8  server")[2].partition("\n\n")[0]
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    rooms |= {"errors"}
    drawn = {"server"} | set(
        re.findall(r"\b[a-z]+\b", "\n".join(line[6:48] for line in drawing.splitlines()))
    )
    assert rooms <= drawn


def test_options_that_operating_names_exist():
    """In code: `name = value`, and names in the second column of the tables of moves."""
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    assigned = set(re.findall(r"(?:`|^|')([a-z][a-z0-9_.]*) = ", page, re.MULTILINE))
    moves = page.partition("## From gunicorn")[2]
    cells = [line.split(" | ")[1] for line in moves.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`([a-z][a-z0-9_.]+)`", cell)}
    table = {"certificate", "keyfile"}  # within [ssl]
    assert len(assigned) > 10
    assert len(named) > 10
    assert (assigned | named) - table <= OPTIONS.keys() | {"systemctl"}
