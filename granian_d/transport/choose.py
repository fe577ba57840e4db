"""The one place that picks who moves the bytes: with the native engine, our own sockets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from granian_d.engine.choose import choose, resolve
from granian_d.transport.tcp import StreamConnections

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from granian_d.engine.contract import Service
    from granian_d.http.turn import Turn
    from granian_d.plan import Limits, WorkerPlan
    from granian_d.plan.model import EngineName
    from granian_d.transport.contract import Connections
    from granian_d.transport.deadlines import Deadlines


def preload(plan: WorkerPlan) -> None:
    """Import what connections will surely use.

    HTTP/2 beside HTTP/1, and WebSockets, are imported by the worker whose peer is the first to
    speak them: most never see one, and a megabyte in each would be for nothing.
    """
    choose(plan.engine, "h2" if plan.http == "2" else "h1")
    if resolve(plan.engine) == "native":
        import_module("granian_d.transport.direct")


def make_connections(
    name: EngineName,
    loop: asyncio.AbstractEventLoop,
    service: Service,
    limits: Limits,
    deadlines: Deadlines,
    changed: Callable[[int], None],
    turn: Turn,
) -> Connections:
    """An empty set of connections.

    Args:
        name: of the engine that speaks on them.
        loop: turns for them.
        service: where their exchanges go.
        limits: what one peer may cost.
        deadlines: the worker's coarse timer.
        changed: is told the number of open connections whenever it changes.
        turn: is on while sockets of our own are worked on.
    """
    if resolve(name) == "pure":
        return StreamConnections(service, limits, deadlines, changed)
    direct = import_module("granian_d.transport.direct")
    connections: Connections = direct.DirectConnections(
        service, limits, deadlines, changed, loop, turn
    )
    return connections
