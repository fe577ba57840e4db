"""How the connections of each listener begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.negotiate import plain
from granian_d.transport.contract import Door
from granian_d.transport.proxy_protocol import behind_proxy

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from granian_d.engine.contract import EndpointMaker
    from granian_d.plan import DaemonPlan, ListenerPlan


def doors(
    plan: DaemonPlan, listeners: Iterable[tuple[ListenerPlan, socket.socket]]
) -> tuple[Door, ...]:
    """The doors of a worker, one for each socket."""
    return tuple(Door(sock, _maker(plan, listener)) for listener, sock in listeners)


def _maker(plan: DaemonPlan, listener: ListenerPlan) -> EndpointMaker:
    """The first endpoint of a connection, from the outside in."""
    maker = plain(plan.worker.engine, plan.worker.http)
    return behind_proxy(maker) if listener.proxy_protocol else maker
