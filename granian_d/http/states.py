"""The life of a response, as a table.

`NEXT[state][input]` is the state that follows; a pair that is not in the table is a FlowError of
the application. The request side needs no table: parts arrive, then it ends, or the peer is gone.
"""

from __future__ import annotations

from typing import Final

AWAITED: Final = 0  # no head yet
STARTED: Final = 1  # head given; body may follow
FINISHED: Final = 2  # complete
ABORTED: Final = 3  # cut: by us, or because the peer has gone
TUNNEL: Final = 4  # the octets belong to another protocol (RFC 9110 7.8, RFC 8441)

NAMES: Final = {
    AWAITED: "awaited",
    STARTED: "started",
    FINISHED: "finished",
    ABORTED: "aborted",
    TUNNEL: "a tunnel",
}

NEXT: Final[dict[int, dict[str, int]]] = {
    AWAITED: {"inform": AWAITED, "start": STARTED, "tunnel": TUNNEL, "abort": ABORTED},
    STARTED: {"inform": STARTED, "send": STARTED, "finish": FINISHED, "abort": ABORTED},
    FINISHED: {"abort": FINISHED},
    ABORTED: {"abort": ABORTED},
    TUNNEL: {"close": FINISHED},
}
