"""Manual pages: the blocks of `page` in the language of man(7).

Only macros that groff and mandoc have always had. A page is source too, so that a change of it can
be read: sentences begin on lines of their own (man-pages(7)), and long ones are folded.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

from granian_d import __version__
from granian_d.settings.page import Comment, Heading, Listing, Paragraph, Points, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from granian_d.settings.page import Block

_WIDTH: Final = 80
_MARKS: Final = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\*(?P<italic>[^*\s](?:[^*]*[^*\s])?)\*"
)
_FONTS: Final = {"code": "B", "bold": "B", "italic": "I"}
_NEXT_SENTENCE: Final = re.compile(r"(?<=[a-z0-9)\]}][.!?]) +(?=[A-Z\\])|(?<=\\fR[.!?]) +")

# Options and paths are not hyphenated, nor are blanks stretched.
_AS_IT_IS: Final = (".nh", ".ad l")

# What groff would set as typographers do (groff_char(7)), as the ASCII that was meant.
_EVERYWHERE: Final = {"\\": "\\e", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
_IN_CODE: Final = {**_EVERYWHERE, "-": "\\-", "'": "\\(aq"}


def manual_page(name: str, section: int, blocks: Iterable[Block]) -> str:
    """The page, as man(1) reads it.

    Args:
        name: of the program or file.
        section: of the manual.
        blocks: from NAME to SEE ALSO; headings of level 1 are those of the page.
    """
    title = _plain(name.upper(), _IN_CODE)
    # No date: the same sources make the same page on any day.
    lines = [f'.TH {title} {section} "" "granian\\-d {__version__}"', *_AS_IT_IS]
    before: Block | None = None
    for block in blocks:
        lines += _lines(block, follows_heading=isinstance(before, Heading))
        before = block
    return "\n".join(lines) + "\n"


def _lines(block: Block, *, follows_heading: bool) -> Iterator[str]:
    match block:
        case Heading(text, 1):
            yield f'.SH "{_plain(text.upper(), _EVERYWHERE)}"'
        case Heading(text, _):
            yield f'.SS "{_plain(text, _EVERYWHERE)}"'
        case Comment(text):
            yield f'.\\" {text}'
        case Paragraph(text):
            if not follows_heading:
                yield ".PP"
            yield from _filled(text)
        case Points(texts):
            for text in texts:
                yield ".IP \\(bu 2"
                yield from _filled(text)
        case Table(_, rows):
            for row in rows:
                yield from _entry(*row)
        case Listing(text):
            yield from (".PP",) * (not follows_heading)
            yield from (".RS 4", ".nf")
            yield from (_guarded(_plain(line, _IN_CODE)) for line in text.rstrip("\n").split("\n"))
            yield from (".fi", ".RE")


def _entry(term: str, *cells: str) -> Iterator[str]:
    """A term and what explains it, one line for each cell."""
    yield ".TP"
    yield _guarded(_marked(term))
    for number, cell in enumerate(filter(None, cells)):
        if number:
            yield ".br"
        yield from _filled(cell)


def _filled(text: str) -> Iterator[str]:
    for sentence in _NEXT_SENTENCE.split(_marked(text)):
        lines = textwrap.wrap(sentence, _WIDTH, break_long_words=False, break_on_hyphens=False)
        yield from map(_guarded, lines)


def _marked(text: str) -> str:
    """Text with its marks as fonts, and its dashes as whatis(1) looks for them."""
    parts, at = [], 0
    for mark in _MARKS.finditer(text):
        kind = str(mark.lastgroup)
        table = _IN_CODE if kind == "code" else _EVERYWHERE
        parts += [_plain(text[at : mark.start()], _EVERYWHERE)]
        parts += [f"\\f{_FONTS[kind]}{_plain(mark[kind], table)}\\fR"]
        at = mark.end()
    return "".join([*parts, _plain(text[at:], _EVERYWHERE)]).replace(" - ", " \\- ")


def _plain(text: str, table: dict[str, str]) -> str:
    """Text without marks: what has a meaning in roff is escaped."""
    return "".join(table.get(one, one) if one.isascii() else f"\\[u{ord(one):04X}]" for one in text)


def _guarded(line: str) -> str:
    """A line of text that is not taken for a request: those begin with . or '."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
