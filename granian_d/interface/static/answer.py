"""What is answered: a file, a part of it, several, or why not.

Rules of this file: each function starts the exchange and gives all of its answer. Who has a file
open when it calls one has given it away.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import InvalidResponse
from granian_d.interface.static import conditions, dates, ranges
from granian_d.interface.static.codings import IDENTITY
from granian_d.interface.static.multipart import Multipart

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields
    from granian_d.interface.static.conditions import Asked
    from granian_d.interface.static.mount import ServedFile

# Every answer: what a file is, its name says, and no browser is to guess otherwise.
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
VARY: Final = (b"vary", b"accept-encoding")

_WORDS: Final = {
    404: b"Not found",
    405: b"Method not allowed",
    406: b"Not acceptable",
    412: b"Precondition failed",
    416: b"Range not satisfiable",
}


class Representation(NamedTuple):
    """One file, and what is said of it.

    Attributes:
        file: open.
        media: value of Content-Type.
        coding: of its content, IDENTITY for none.
        more: fields about keeping it: Cache-Control, Vary.
    """

    file: ServedFile
    media: bytes
    coding: bytes
    more: Fields


def refuse(exchange: Exchange, status: int, *more: tuple[bytes, bytes]) -> None:
    """Answer with a status of _WORDS, and say it in words."""
    words = _WORDS[status]
    length = (b"content-length", b"%d" % len(words))
    exchange.start(status, [_TEXT, length, _NOSNIFF, *more])
    exchange.send(words, True)


def name_methods(exchange: Exchange, methods: bytes) -> None:
    """Answer an OPTIONS (RFC 9110 9.3.7)."""
    exchange.start(204, [(b"allow", methods)])
    exchange.finish()


def give(exchange: Exchange, what: Representation, asked: Asked, now_ns: int) -> None:
    """Answer a GET or HEAD with a file, as far as its conditions and ranges want it.

    Raises:
        Disconnected: there is nobody to answer any more; the file is closed.
    """
    file = what.file
    found = conditions.validators_of(file, what.coding, now_ns)
    verdict = conditions.judge(asked, found)
    if verdict == conditions.OK:
        spans = _wanted_spans(exchange, asked, found, what)
        _give_content(exchange, what, spans, _description(what, found))
        return
    file.close()
    if verdict == conditions.NOT_MODIFIED:
        # RFC 9110 15.4.5: what keeps a stored answer good, and no more.
        exchange.start(304, [(b"etag", found.etag), *what.more])
        exchange.finish()
    else:
        refuse(exchange, verdict)


def _wanted_spans(
    exchange: Exchange, asked: Asked, found: conditions.Validators, what: Representation
) -> list[ranges.Span] | None:
    """See ranges.select; None where no range is asked for, or none may be."""
    value = asked.get(b"range")
    if value is None or exchange.head.method != "GET":  # RFC 9110 14.2: of GET alone
        return None
    if not conditions.range_applies(asked, found):
        return None
    spans = ranges.select(value, what.file.size_bytes)
    if spans and len(spans) > 1 and what.coding != IDENTITY:
        return None  # Content-Encoding would say that all of the multipart body is compressed
    return spans


def _give_content(
    exchange: Exchange, what: Representation, spans: list[ranges.Span] | None, fields: Fields
) -> None:
    """Answer with all of a file, or with parts of it."""
    file = what.file
    if spans is None:
        _give_span(exchange, 200, (0, file.size_bytes), file, fields)
    elif not spans:
        file.close()
        refuse(exchange, 416, (b"content-range", b"bytes */%d" % file.size_bytes))
    elif len(spans) == 1:
        first, end = spans[0]
        said = b"bytes %d-%d/%d" % (first, end - 1, file.size_bytes)
        _give_span(exchange, 206, spans[0], file, [*fields, (b"content-range", said)])
    else:
        _give_spans(exchange, spans, what, fields)


def _description(what: Representation, found: conditions.Validators) -> Fields:
    """All that is said of a file, but for its length."""
    fields = [
        (b"etag", found.etag),
        (b"last-modified", dates.written(found.modified_s)),
        (b"accept-ranges", b"bytes"),
        (b"content-type", what.media),
        _NOSNIFF,
        *what.more,
    ]
    if what.coding != IDENTITY:
        fields.append((b"content-encoding", what.coding))
    return fields


def _give_span(
    exchange: Exchange, status: int, span: ranges.Span, file: ServedFile, fields: Fields
) -> None:
    first, end = span
    fields.append((b"content-length", b"%d" % (end - first)))
    try:
        exchange.start(status, fields)
    except BaseException:
        file.close()
        raise
    # To a HEAD no engine reads any of it.
    exchange.send_file(file.fd, first, end - first, partial(_given, exchange, end, file))


def _given(exchange: Exchange, end: int, file: ServedFile, complete: bool) -> None:
    """The file is not needed any more."""
    if not complete:
        file.look()
        if file.size_bytes < end:
            error = InvalidResponse("a file became shorter while it was sent")
            exchange.observer.crashed(exchange, error)
    file.close()


def _give_spans(
    exchange: Exchange, spans: list[ranges.Span], what: Representation, fields: Fields
) -> None:
    body = Multipart(what.file, spans, what.media)
    fields = [field for field in fields if field[0] != b"content-type"]
    fields += [(b"content-type", body.media), (b"content-length", b"%d" % body.size_bytes)]
    try:
        exchange.start(206, fields)
    except BaseException:
        what.file.close()
        raise
    body.send(exchange)
