"""Five bodies of data for compression, of the kinds and sizes that the suite has.

They are made from a seed: the same octets in every run and on every machine.
"""

from __future__ import annotations

import json
import math
import random
from functools import cache
from typing import NamedTuple

SYLLABLES = (
    "da",
    "mit",
    "er",
    "ge",
    "be",
    "nacht",
    "spr\u00e4che",
    "gr\u00fcn",
    "stra\u00dfe",
    "all",
)


class Body(NamedTuple):
    """Data to send slices of.

    Attributes:
        name: what it resembles.
        data: octets, sent as binary messages; or characters, sent as texts.
    """

    name: str
    data: bytes | str


def _word(source: random.Random) -> str:
    return "".join(source.choice(SYLLABLES) for _ in range(1 + int(source.random() * 3)))


def _records(size: int) -> str:
    source = random.Random("records")
    rows = [
        {
            "id": number,
            "guid": f"{source.getrandbits(64):016x}",
            "name": f"{_word(source).title()} {_word(source).title()}",
            "active": source.random() < 0.5,
            "balance": round(source.random() * 4000, 2),
            "tags": [_word(source) for _ in range(7)],
        }
        for number in range(size // 200)
    ]
    return _fit(json.dumps(rows, indent=2, ensure_ascii=False), size)


def _picture(size: int) -> bytes:
    source = random.Random("picture")
    head = b"BM" + size.to_bytes(4, "little") + bytes(1072)
    pixels = (
        int(128 + 90 * math.sin(x / 41) * math.cos(y / 57) + 24 * source.random()) & 255
        for y in range(512)
        for x in range(512)
    )
    return (head + bytes(pixels))[:size]


def _prose(size: int) -> bytes:
    source = random.Random("prose")
    lines = [" ".join(_word(source) for _ in range(6)) for _ in range(size // 24)]
    return "\r\n".join(lines).encode()[:size]


def _markup(size: int) -> str:
    source = random.Random("markup")
    rows = [
        f'<tr class="row-{number % 2}"><td><a href="/case/{number}">{_word(source)}</a></td>'
        f'<td class="ok">{_word(source)}</td><td>{source.getrandbits(16)}</td></tr>\n'
        for number in range(size // 80)
    ]
    return _fit("<!DOCTYPE html>\n<table>\n" + "".join(rows), size)


def _document(size: int) -> bytes:
    source = random.Random("document")
    parts = [b"%PDF-1.4\n"]
    for number in range(1, size // 4000):
        stream = source.randbytes(3000)
        head = b"%d 0 obj\n<< /Filter /FlateDecode /Length %d >>\nstream\n" % (number, len(stream))
        text = _word(source).encode() * 80
        parts += [head, stream, b"\nendstream\nendobj\n", text]
    return (b"".join(parts) * 2)[:size]


def _fit(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


@cache
def bodies() -> tuple[Body, ...]:
    """In the suite's order: 12.1 is about the first of them, and so on."""
    return (
        Body("JSON", _records(194056)),
        Body("a picture", _picture(263222)),
        Body("prose", _prose(222218)),
        Body("HTML", _markup(263620)),
        Body("a PDF", _document(1042328)),
    )
