"""The exporter of metrics: a child of the master, beside the workers, that answers who asks how the
daemon is. It reads shared memory and /proc; neither a worker nor the master notices.

It speaks what workers speak, HTTP/1.1 and HTTP/2 without TLS, with their engine.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
from dataclasses import replace
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from granian_d.engine.contract import Leave
from granian_d.engine.negotiate import plain
from granian_d.errors import Disconnected
from granian_d.http.exchange import Observer
from granian_d.http.turn import Turn
from granian_d.observe.footprint import Footprint, footprint, resident
from granian_d.observe.metrics import CONTENT_TYPE, render
from granian_d.observe.samples import Scene
from granian_d.observe.scoreboard import PID
from granian_d.transport.accept import Acceptor
from granian_d.transport.choose import make_connections
from granian_d.transport.contract import Door
from granian_d.transport.deadlines import Deadlines
from granian_d.worker import identity
from granian_d.worker import loop as loops

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Scoreboard
    from granian_d.plan import DaemonPlan, Limits

MASTER_IS_DEAD: Final = 1
MOST_CONNECTIONS: Final = 16  # a few scrapers, and somebody with a browser
PATIENCE_S: Final = 5.0  # for the head of a request, for who reads, and for the end
IDLE_S: Final = 10.0  # scrapes are further apart than connections are dear
MOST_BODY_BYTES: Final = 1024  # nobody has anything to send here

_FIELDS: Final = [(b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store")]
_REFUSAL: Final = [(b"content-type", b"text/plain; charset=utf-8"), (b"allow", b"GET, HEAD")]


def run(
    plan: DaemonPlan, listener: socket.socket, master_pid: int, log: Log, board: Scoreboard
) -> int:
    """Be the exporter from the fork to the end; the exit status.

    Args:
        plan: has metrics.
        listener: where it is asked: listening, non-blocking, its own descriptor.
        master_pid: whose child it is.
        log: for faults.
        board: what it reads.
    """
    faulthandler.enable()
    identity.yield_to_master()
    identity.become(plan.worker.identity)
    if not identity.die_with(master_pid):
        return MASTER_IS_DEAD
    loop = loops.make(plan.worker.loop)
    loop.set_exception_handler(lambda _, context: log.event("loop_error", reason=_told(context)))
    exporter = Exporter(plan, listener, master_pid, log, board, loop)
    try:
        loop.add_signal_handler(signal.SIGTERM, exporter.leave)
        loop.run_until_complete(exporter.gone.wait())
    finally:
        loop.close()
    return 0


class Exporter:
    """It, on its loop.

    Args: as of `run`.

    Attributes:
        gone: set when it has left.
    """

    def __init__(
        self,
        plan: DaemonPlan,
        listener: socket.socket,
        master_pid: int,
        log: Log,
        board: Scoreboard,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        assert plan.metrics is not None, "the master forks none without"
        self.gone = asyncio.Event()
        self._leaving = False
        self._loop = loop
        self._log = log
        self._connections = make_connections(
            plan.worker.engine,
            loop,
            Page(board, master_pid, plan.metrics.interval_s),
            _limits(plan.worker.limits),
            Deadlines(loop),
            self._changed,
            Turn(),
        )
        listener.setblocking(False)
        door = Door(listener, plain(plan.worker.engine, "auto"))
        self._acceptor = Acceptor(loop, [door], self._connections, MOST_CONNECTIONS, self._failed)
        self._acceptor.arm()

    def leave(self) -> None:
        """Accept no more, finish what is under way, within PATIENCE_S."""
        self._leaving = True
        self._acceptor.close()
        self._connections.drain(Leave(idle_s=0.0))
        self._loop.call_later(PATIENCE_S, self.gone.set)
        self._changed(len(self._connections.open))

    def _changed(self, count: int) -> None:
        self._acceptor.count_changed(count)
        if self._leaving and not count and not self._acceptor.starting:
            self.gone.set()

    def _failed(self, error: OSError) -> None:
        self._log.event("accept_failed", reason=error.strerror or str(error))


class Page(Observer):
    """The service (engine.contract): whatever path is asked for, it answers with all metrics.

    Args:
        board: what is told.
        master_pid: of the master.
        interval_s: least time between two looks at memory: the kernel adds up pages for it.
    """

    def __init__(self, board: Scoreboard, master_pid: int, interval_s: float) -> None:
        self.observer: Observer = self
        self._board = board
        self._master_pid = master_pid
        self._interval_s = interval_s
        self._memory: dict[int, Footprint] = {}
        self._looked_at = -interval_s

    def serve(self, exchange: Exchange) -> None:
        """See engine.contract.Service."""
        try:
            if exchange.head.method in {"GET", "HEAD"}:
                page = self.text().encode()
                exchange.start(200 if page else 503, _FIELDS)
                exchange.send(page, True)
            else:
                exchange.start(405, _REFUSAL)
                exchange.send(b"Method Not Allowed\n", True)
        except Disconnected:
            exchange.abort()

    def converse(self, session: Session) -> None:
        """See engine.contract.Service: none is offered."""
        session.exchange.fail()

    def text(self) -> str:
        """The metrics of now; "" where they cannot be had: a wrong number is worse than none."""
        board = self._board.copy()
        if board is None:
            return ""
        pids = [row[PID] for rows in board.workers.values() for row in rows if row[PID]]
        self._look([*pids, self._master_pid, os.getpid()])
        scene = Scene(board, self._memory, monotonic_ns(), self._master_pid, os.getpid())
        return render(scene)

    def _look(self, pids: Iterable[int]) -> None:
        """Look at the memory of processes, but for those at which that was just done."""
        now = monotonic()
        if now - self._looked_at >= self._interval_s:
            self._looked_at = now
            self._memory = {}
        self._memory |= {pid: _weigh(pid) for pid in pids if pid not in self._memory}

    def began(self, exchange: Exchange) -> None:
        """See Observer: nothing is counted of who counts."""

    def finished(self, exchange: Exchange) -> None:
        """See Observer."""

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        """See Observer: no application is here."""

    def refused(self, *_: object) -> None:
        """See Observer: told by its status."""


def _weigh(pid: int) -> Footprint:
    """Memory of a process, as much as the kernel tells: of another user's it adds up no shares."""
    taken = footprint(pid)
    return taken if taken.rss else Footprint(resident(pid))


def _limits(limits: Limits) -> Limits:
    """What one peer may cost here."""
    return replace(
        limits,
        body_bytes=MOST_BODY_BYTES,
        head_timeout_s=PATIENCE_S,
        idle_timeout_s=IDLE_S,
        body_timeout_s=PATIENCE_S,
        write_timeout_s=PATIENCE_S,
        keep_alive=True,
        websocket=None,
    )


def _told(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return context["message"] if error is None else f"{context['message']}: {error!r}"
