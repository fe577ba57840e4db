"""A worker's first request: it asks its own application, before it says that it is ready.

Over a connection of its own, and in plain HTTP/1.1 whatever the listeners speak. It is a request
like all others: it is counted, and logged where requests are, as those of no address.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from granian_d.engine.choose import choose
from granian_d.errors import StartupError
from granian_d.observe.scoreboard import CRASHED

if TYPE_CHECKING:
    import asyncio

    from granian_d.observe.scoreboard import Row
    from granian_d.plan import WorkerPlan
    from granian_d.transport.contract import Connections

READ_BYTES: Final = 65536
_FAILED: Final = 500  # and all above it: what the application could not do


async def warm_up(
    loop: asyncio.AbstractEventLoop, connections: Connections, plan: WorkerPlan, row: Row
) -> None:
    """Ask for `plan.warmup` and wait for the whole answer; the master's patience bounds it.

    Args:
        loop: the worker's.
        connections: the worker's, before it accepts any.
        plan: names the path.
        row: the worker's: there stands whether the application has failed with its answer begun.

    Raises:
        StartupError: the application has failed.
    """
    ours, theirs = socket.socketpair()
    with ours:
        for end in (ours, theirs):
            end.setblocking(False)
        making = connections.take(theirs, loop, choose(plan.engine, "h1"))
        if making is not None:
            await making
        request = (
            f"GET {plan.warmup} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: granian-d\r\n"
            "Connection: close\r\n\r\n"
        )
        await loop.sock_sendall(ours, request.encode())
        status = await _read_status(loop, ours)
    if status >= _FAILED:
        raise StartupError(f"warm-up: GET {plan.warmup} answered {status}")
    if not status or row[CRASHED]:
        raise StartupError(f"warm-up: GET {plan.warmup} was not answered")


async def _read_status(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> int:
    """Read an answer to its end; its status, 0 if there was none."""
    head = b""
    try:
        while data := await loop.sock_recv(sock, READ_BYTES):
            if len(head) < READ_BYTES:
                head += data
    except ConnectionError:
        return 0  # the answer was cut
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 else 0
