"""One application served on one loop, from its start to its end, whoever gives the orders.

A worker's are its master's (`main`); a server within somebody else's program has them from there
(granian_d.server.embed).
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from granian_d.control.channel import Drain as Order
from granian_d.errors import ConfigError
from granian_d.interface import registry
from granian_d.interface.contract import Context
from granian_d.observe.scoreboard import ACCEPTED, BLOCKING, CONNECTIONS, CONNECTIONS_FAILED
from granian_d.transport.accept import Acceptor
from granian_d.transport.choose import make_connections
from granian_d.transport.deadlines import Deadlines
from granian_d.worker import doors, heartbeat
from granian_d.worker.dispatch import Dispatch
from granian_d.worker.drain import Drain

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Sequence

    from granian_d.control.channel import Berth
    from granian_d.http.turn import Turn
    from granian_d.interface.contract import Interface
    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Row
    from granian_d.plan import DaemonPlan, ListenerPlan, WorkerPlan
    from granian_d.worker.desk import Desk, RequestLog
    from granian_d.worker.halls import Halls
    from granian_d.worker.named import Named
    from granian_d.worker.overdue import Overdue

FORWARDED = "granian_d.http.forwarded"
NAMED = "granian_d.worker.named"
FRONTS = "granian_d.worker.fronts"
DEVELOPMENT = "granian_d.worker.development"
OVERDUE = "granian_d.worker.overdue"
WARMUP = "granian_d.worker.warmup"


class Serving:
    """What serves: `startup`, `open`, `until_empty`, in this order.

    Args:
        plan: what to obey.
        listeners: the sockets to accept from, listening and non-blocking, with their plans.
        contexts: of OpenSSL, for those that are secured; None without TLS.
        desk: what is written on.
        interface: what the application is spoken to through.
        loop: turns for all of it.
        turn: the interface's.
        berth: where datagrams are read; None without HTTP/3.
        generation: of the worker.
    """

    def __init__(
        self,
        plan: DaemonPlan,
        listeners: Sequence[tuple[ListenerPlan, socket.socket]],
        contexts: Any,
        desk: Desk,
        interface: Interface,
        loop: asyncio.AbstractEventLoop,
        turn: Turn,
        berth: Berth | None = None,
        generation: int = 0,
    ) -> None:
        self._desk = desk
        self._interface = interface
        self._loop = loop
        self._plan = plan
        # In development the next request is for the new code, on a connection of its own.
        self._idle_s = 0.0 if plan.worker.debug else plan.worker.limits.idle_timeout_s
        self._overdue: Overdue | None = None
        self._access_log: RequestLog | None = None
        if desk.access_log is not None:
            self._access_log = desk.access_log(loop.call_soon)
        dispatch = self._make_dispatch(plan.worker)
        deadlines = Deadlines(loop)
        self._connections = make_connections(
            plan.worker.engine,
            loop,
            dispatch,
            plan.worker.limits,
            deadlines,
            self._connections_changed if berth is None else self._some_changed,
            turn,
        )
        self._doors = doors.Doors(plan, listeners, contexts, desk, loop)
        self._halls: Halls | None = None
        if berth is not None:
            self._halls = importlib.import_module(doors.HALLS).Halls(
                plan,
                berth,
                generation,
                contexts,
                loop,
                dispatch,
                deadlines,
                self._some_changed,
                self._has_room,
                self._doors.failed,
            )
            self._connections = self._halls.join(self._connections)
        self._acceptor = Acceptor(
            loop,
            self._doors.all,
            self._connections,
            plan.worker.backpressure,
            self._accept_failed,
        )
        self._drain = Drain(loop, self._acceptor, self._connections, interface, desk.log)

    def _make_dispatch(self, worker: WorkerPlan) -> Dispatch:
        """What requests go to."""
        desk = self._desk
        listener: Interface | Named = self._interface
        if self._access_log is not None and self._access_log.wants_ids:
            listener = importlib.import_module(NAMED).Named(listener)
        peer_of = None
        if worker.forwarding is not None:
            peer_of = partial(importlib.import_module(FORWARDED).peer_of, plan=worker.forwarding)
        terms = (listener, desk.row, desk.log, self._access_log, peer_of)
        dispatch = Dispatch(*terms)
        if worker.health or worker.static:
            dispatch = importlib.import_module(FRONTS).make(worker, desk.health, terms)
        if worker.debug:
            dispatch.observer = importlib.import_module(DEVELOPMENT).FaultPages(dispatch)
        return dispatch

    @property
    def contexts(self) -> Any:
        """Of OpenSSL, the newest; None without TLS."""
        return self._doors.contexts

    async def startup(self) -> None:
        """Have the application start, and see that it answers.

        Raises:
            StartupError: it refused.
        """
        await self._interface.startup()
        tell_notes(self._interface, self._desk.log)
        if self._plan.worker.warmup:
            room = importlib.import_module(WARMUP)
            terms = (self._plan.worker, self._desk.row)
            await room.warm_up(self._loop, self._connections, *terms)

    def open(self) -> None:
        """Accept connections."""
        if limit_s := self._plan.worker.request_timeout_s:
            room, desk = importlib.import_module(OVERDUE), self._desk
            terms = (self._connections, self._interface, desk.row, desk.log)
            self._overdue = room.Overdue(self._loop, limit_s, *terms)
            self._overdue.start()
        self._acceptor.arm()
        if self._halls is not None:
            self._halls.open()

    async def until_empty(self) -> None:
        """Return when a drain that somebody orders has come to its end, the application's too."""
        if self._halls is None:
            await self._drain.empty.wait()
        else:
            await self._drain.until_empty(self._halls.sweep)
            self._halls.close()
        await self._drain.within_budget(self._interface.settle())
        await self._interface.shutdown()
        if self._overdue is not None:
            self._overdue.stop()
        if self._access_log is not None:
            self._access_log.flush()

    def drain(self, order: Order) -> None:
        """Accept no more, and come to an end within the budgets; the last order counts."""
        idle_s = self._idle_s if order.idle_s is None else order.idle_s
        self._drain.order(order, min(idle_s, self._idle_s))

    def leave(self, *, restarting: bool = False) -> None:
        """Drain as the plan grants, unless that has begun.

        Args:
            restarting: another one takes over.
        """
        if not self._drain.begun:
            pool = self._plan.pool
            self.drain(Order(pool.drain_timeout_s, None, restarting, pool.stream_timeout_s))

    def renew(self, fds: Sequence[int]) -> None:
        """Use new certificates and ticket keys for the connections to come.

        Args:
            fds: of files in memory that hold them; they are closed.
        """
        if self._doors.renew(fds) and self._halls is not None:
            try:
                self._halls.renew(self._doors.contexts)
            except ConfigError as error:
                self._desk.log.event("tls_renewal_failed", reason=str(error))

    def _has_room(self) -> bool:
        """For a connection that no acceptor takes."""
        held = len(self._connections.open) + self._acceptor.starting
        return held < self._plan.worker.backpressure

    def _some_changed(self, _count: int = 0) -> None:
        """Connections are in several places: who tells has counted its own."""
        self._connections_changed(len(self._connections.open))

    def _connections_changed(self, count: int) -> None:
        self._desk.row[ACCEPTED] += count > self._desk.row[CONNECTIONS]  # it changes by one
        self._desk.row[CONNECTIONS] = count
        self._acceptor.count_changed(count)
        self._drain.look()

    def _accept_failed(self, error: OSError) -> None:
        self._desk.row[CONNECTIONS_FAILED] += 1
        self._desk.log.event("accept_failed", reason=error.strerror or str(error))


def make_interface(
    plan: DaemonPlan, application: Any, loop: asyncio.AbstractEventLoop, row: Row, turn: Turn
) -> Interface:
    """What the application is spoken to through."""
    worker = plan.worker
    context = Context(
        loop=loop,
        root_path=worker.url_path_prefix,
        multiprocess=max(plan.pool.workers, plan.pool.workers_max) > 1,
        blocking_threads=worker.blocking_threads,
        blocking_threads_idle_timeout_s=worker.blocking_threads_idle_timeout_s,
        beat=partial(heartbeat.beat, row),
        turn=turn,
        debug=worker.debug,
        lifespan_at_leave=worker.lifespan_at_signal,
        pool_row=row[BLOCKING] if plan.metrics else None,
    )
    return registry.load(worker.interface)(application, context)


def tell_notes(interface: Interface, log: Log) -> None:
    """Log what the interface has noticed since it was last asked."""
    notes, interface.notes[:] = list(interface.notes), ()
    for note in notes:
        log.event("interface_note", reason=note)
