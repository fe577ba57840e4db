"""What a worker has under way, in words: for the log, and for whoever asks how old it is.

No query and no field of a request is told: secrets travel in those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.http import states

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from granian_d.http.exchange import Exchange

TOLD: Final = 10  # of the requests in one line: who reads it wants an idea, and a number
PATH_CHARS: Final = 200  # of a path in the log


def has_begun(exchange: Exchange) -> bool:
    """Whether the answer has begun: a stream, a download, a conversation, but for its head."""
    return exchange.state != states.AWAITED


def request_line(exchange: Exchange) -> str:
    """Method and path."""
    path = exchange.head.raw_path.decode("utf-8", "backslashreplace")
    short = path if len(path) <= PATH_CHARS else path[:PATH_CHARS] + "..."
    return f"{exchange.head.method} {short}"


def client_of(exchange: Exchange) -> str:
    """The address of the peer, without its port."""
    client = exchange.peer.client
    return client[0] if client else "a local peer"


def describe(exchange: Exchange, now_ns: int) -> str:
    """One request in a few words: what, how old, for whom, and how far its answer is."""
    if exchange.head.protocol:
        kind = f"{exchange.head.protocol}, "
    else:
        kind = "streaming, " if has_begun(exchange) else ""
    age_s = (now_ns - exchange.started_ns) / 1e9
    return f"{request_line(exchange)} ({kind}{age_s:.1f} s, {client_of(exchange)})"


def describe_all(exchanges: Sequence[Exchange], now_ns: int) -> str:
    """Several of them, the oldest first; of many the first few and how many more there are."""
    oldest = sorted(exchanges, key=_begin)[:TOLD]
    told = "; ".join(describe(exchange, now_ns) for exchange in oldest)
    more = len(exchanges) - len(oldest)
    return f"{told}; and {more} more" if more else told


def awaited(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Those that the application has not begun to answer. A conversation has no such time."""
    return [
        exchange
        for exchange in exchanges
        if exchange.state == states.AWAITED and not exchange.head.protocol
    ]


def oldest_ns(exchanges: Iterable[Exchange]) -> int:
    """When the oldest of `awaited` began, on CLOCK_MONOTONIC; 0 when there is none."""
    return min((exchange.started_ns for exchange in awaited(exchanges)), default=0)


def _begin(exchange: Exchange) -> int:
    return exchange.started_ns
