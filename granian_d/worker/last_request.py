"""What a worker was asked for last, in its scoreboard row.

last_request.pyx beside it is the same as a memcpy: each request passes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.observe.scoreboard import LAST_NS, TEXT, TEXT_WORDS

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.observe.scoreboard import Row


class LastRequest:
    """The place for it in a row."""

    __slots__ = ("_row", "_text")

    def __init__(self, row: Row) -> None:
        self._row = row
        self._text = row[TEXT : TEXT + TEXT_WORDS].cast("B")

    def begun(self, exchange: Exchange) -> None:
        """Write down when it began, its method and its path; no query, secrets travel in those."""
        self._row[LAST_NS] = exchange.started_ns
        text = b"%b %b" % (exchange.head.method.encode(), exchange.head.raw_path)
        size = len(self._text)
        self._text[:] = text[:size].ljust(size, b"\0")
