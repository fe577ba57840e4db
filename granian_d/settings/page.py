"""A page in blocks, of which the Markdown in docs/ and the manual pages are made.

Text has the marks of Markdown within a line: `code`, **bold** and *italic*. So a sentence that both
want is written once. `roff` writes the same blocks for man(1).
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WIDTH: Final = 100


class Heading(NamedTuple):
    """A title; the level of the page's own is 1."""

    text: str
    level: int


class Comment(NamedTuple):
    """For whoever opens the file; readers of the page do not see it."""

    text: str


class Paragraph(NamedTuple):
    """Running text."""

    text: str


class Points(NamedTuple):
    """Texts with a bullet before each."""

    texts: tuple[str, ...]


class Table(NamedTuple):
    """Rows; in a manual page the first cell is a term and the others explain it, a line each."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Listing(NamedTuple):
    """Lines that stay as they are, without marks."""

    text: str


Block = Heading | Comment | Paragraph | Points | Table | Listing


def markdown(blocks: Iterable[Block]) -> str:
    """The page for docs/."""
    return "\n".join("".join(f"{line}\n" for line in _lines(block)) for block in blocks)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"{'#' * level} {text}"
        case Comment(text):
            yield f"<!-- {text} -->"
        case Paragraph(text):
            yield from _wrap(text, "")
        case Points(texts):
            for text in texts:
                yield from _wrap(f"- {text}", "  ")
        case Table(head, rows):
            yield _row(head)
            yield "|" + "---|" * len(head)
            yield from map(_row, rows)
        case Listing(text):
            yield from textwrap.indent(text.rstrip("\n"), "    ").split("\n")


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
