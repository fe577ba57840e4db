"""On which line of a TOML document each key stands; tomllib does not tell.

Rules of this file: the document is known to be valid (tomllib has read it), so nothing is judged
here and values are only skipped. A path is made of keys and of indexes into arrays:
`("listen", 1, "mode")`. The property test holds it against tomllib on random documents.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

KeyPath = tuple[str | int, ...]

_BLANKS: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACES: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
# Up to two quotes may stand before the closing three.
_STRING: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?""""{0,2}|\'\'\'.*?\'\'\'\'{0,2}|"(?:[^"\\]|\\.)*"|'[^']*\'''',
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, on which each key of a valid document first stands."""
    document = _Document(text)
    document.read()
    return document.lines


class _Document:
    """A reading head over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._lengths: dict[KeyPath, int] = {}  # of the arrays of tables

    def read(self) -> None:
        """Note every key of the document."""
        table: KeyPath = ()
        self._skip(_BLANKS)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANKS)

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`: the path of the table that it opens."""
        opening = "[[" if self.text.startswith("[[", self.at) else "["
        at = self.at
        self.at += len(opening)
        keys = self._keys()
        self.at += len(opening)
        path: KeyPath = ()
        for depth, key in enumerate(keys, start=1):
            path = (*path, key)
            self._note(path, at)
            if opening == "[[" and depth == len(keys):
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
                self._note(path, at)
        return path

    def _pair(self, table: KeyPath) -> None:
        """`a.b = value`."""
        at = self.at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, at)
        self.at += 1  # the equals sign
        self._skip(_SPACES)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACES)
            key = self._skip(_KEY)
            keys.append(_unquote(key))
            self._skip(_SPACES)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        match self.text[self.at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        index = 0
        while self._next_item("]"):
            self._note((*path, index), self.at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        while self._next_item("}"):
            self._pair(path)

    def _next_item(self, closing: str) -> bool:
        """Step over the opening bracket or the comma; whether an item follows."""
        self._skip(_BLANKS)
        if self.text[self.at] != closing:
            self.at += 1
            self._skip(_BLANKS)
        if self.text[self.at] == closing:
            self.at += 1
            return False
        return True

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None, f"not a valid document at {self.at}"
        self.at = match.end()
        return match[0]

    def _note(self, path: KeyPath, at: int) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, at) + 1)


def _unquote(key: str) -> str:
    if key[0] not in "\"'":
        return key
    unquoted = tomllib.loads(f"key = {key}")["key"]
    assert isinstance(unquoted, str)
    return unquoted
