r"""Reads the vectors: what a peer sends, and what must become of it.

A file of `vectors/` is Markdown: a title, then one vector a heading of the third level:

    ### The name of the vector

    rules: rule-id, rule-id             rows of rules.toml that it shows
    limits: head_bytes=200              optional, over the limits of the harness
    scheme: https                       optional

    Prose, if the name does not say it all.

    ```request                          the bytes; line ends of the file do not count
    GET / HTTP/1.1\r\n
    Host: a\r\n
    \r\n
    ```

    ```app                              optional; without it everything is read, "ok" is answered
    read
    start 200 content-type: text/plain | x-more: 1
    last hello
    ```

    ```expect
    request GET / HTTP/1.1              one a request that the application sees, followed by:
    host a                                its authority
    field name: value                     a field that it has
    no-field name                         a field that it has not
    length 5                              Content-Length; "chunked" without one
    body hello                            what it read
    body-error BodyTooLarge               what it caught when it read
    fault InvalidResponse               what the application was told that it did wrong
    answer 200                          one a response, in order, interim ones too
    because no Host                     optional: words of the reason of a refusal
    connection stays                    stays, waits (for more of the request), closes or resets
    ```

    ```answer                           optional: every byte of the answer; {date} is any date
    HTTP/1.1 200 OK\r\n
    ...
    ```

Escapes: \r \n \t \0 \\ \xNN, {x*N} for N times the character x, and {eof} in a request where the
peer closes its sending side. White space at the ends of lines is written \x20 or \t.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors"

_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})|\\([rnt0\\])|\{(.)\*(\d+)\}")
_SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


@dataclass
class Seen:
    """What the application saw of one request."""

    line: str
    host: str | None = None
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    without: list[bytes] = field(default_factory=list)
    length: str | None = None
    body: bytes | None = None
    body_error: str | None = None


@dataclass
class Vector:
    """One vector; see the head of this file."""

    file: str
    name: str
    rules: list[str] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    scheme: str = "http"
    sent: bytes | None = None
    eof: bool = False
    app: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    because: str = ""
    connection: str = ""
    answer: bytes | None = None

    @property
    def key(self) -> str:
        return f"{self.file}: {self.name}"


def unescape(text: str) -> bytes:
    """The bytes that `text` stands for."""

    def one(match: re.Match[str]) -> str:
        octet, simple, char, times = match.groups()
        if octet:
            return chr(int(octet, 16))
        return _SIMPLE[simple] if simple else char * int(times)

    assert text.isascii(), f"not ASCII, escape it: {text!r}"
    return _ESCAPE.sub(one, text).encode("latin-1")


def load() -> list[Vector]:
    """All vectors of all files."""
    vectors = []
    for path in sorted(FOLDER.glob("*.md")):
        sections = path.read_text().split("\n### ")
        vectors += [_parse(path.stem, section) for section in sections[1:]]
    keys = [vector.key for vector in vectors]
    assert len(keys) == len(set(keys)), "two vectors of the same name"
    return vectors


def _parse(file: str, section: str) -> Vector:
    name, _, rest = section.partition("\n")
    vector = Vector(file, name.strip())
    prose, *fences = re.split(r"^```", rest, flags=re.MULTILINE)
    for line in prose.splitlines():
        key, colon, value = line.partition(": ")
        if colon and key == "rules":
            vector.rules = [rule.strip() for rule in value.split(",")]
        elif colon and key == "limits":
            vector.limits = {k: int(v) for k, v in (pair.split("=") for pair in value.split())}
        elif colon and key == "scheme":
            vector.scheme = value
    for fence in fences[::2]:
        kind, _, block = fence.partition("\n")
        lines = block.splitlines()
        assert all(line == line.rstrip() for line in lines), f"{vector.key}: invisible white space"
        _READERS[kind](vector, lines)
    assert vector.sent is not None, f"{vector.key}: no request"
    assert vector.connection, f"{vector.key}: connection?"
    assert vector.rules, f"{vector.key}: rules?"
    return vector


def _read_request(vector: Vector, lines: list[str]) -> None:
    text = "".join(lines)
    vector.eof = text.endswith("{eof}")
    assert text.count("{eof}") == vector.eof, f"{vector.key}: nothing comes behind the end"
    vector.sent = unescape(text.removesuffix("{eof}"))


def _read_app(vector: Vector, lines: list[str]) -> None:
    vector.app = lines


def _read_answer(vector: Vector, lines: list[str]) -> None:
    vector.answer = unescape("".join(lines))


def _read_expect(vector: Vector, lines: list[str]) -> None:
    for line in lines:
        key, _, value = line.partition(" ")
        seen = vector.seen[-1] if vector.seen else None
        if key == "request":
            vector.seen.append(Seen(value))
        elif key == "answer":
            vector.answers.append(int(value))
        elif key == "fault":
            vector.faults.append(value)
        elif key == "because":
            vector.because = value
        elif key == "connection":
            assert value in ("stays", "waits", "closes", "resets"), f"{vector.key}: {line}"
            vector.connection = value
        elif seen is None:
            raise AssertionError(f"{vector.key}: {line!r} before any request")
        elif key == "host":
            seen.host = value
        elif key == "field":
            field_name, _, field_value = value.partition(":")
            seen.fields.append((unescape(field_name), unescape(field_value.removeprefix(" "))))
        elif key == "no-field":
            seen.without.append(value.encode())
        elif key in ("length", "chunked"):
            seen.length = value or key
        elif key == "body":
            seen.body = unescape(value)
        elif key == "body-error":
            seen.body_error = value
        else:
            raise AssertionError(f"{vector.key}: {line!r}")


_READERS = {
    "request": _read_request,
    "app": _read_app,
    "expect": _read_expect,
    "answer": _read_answer,
}
