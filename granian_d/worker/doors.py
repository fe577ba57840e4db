"""How the connections of each listener begin."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from granian_d.engine.choose import choose_hall
from granian_d.engine.negotiate import plain, secured
from granian_d.errors import ConfigError
from granian_d.observe.scoreboard import CONNECTIONS_FAILED
from granian_d.transport.contract import Door

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Sequence

    from granian_d.engine.contract import Clock, Endpoint, EndpointMaker, Service, Wire
    from granian_d.http.message import Peer
    from granian_d.plan import DaemonPlan, Limits, ListenerPlan, TlsPlan
    from granian_d.worker.desk import Desk


# Imported where a plan has a use for them: in the master, so that its workers share them.
TLS: Final = "granian_d.transport.tls"
TLS_CONTEXT: Final = "granian_d.transport.tls_context"
PROXY: Final = "granian_d.transport.proxy_protocol"
HALLS: Final = "granian_d.worker.halls"


def preload(plan: DaemonPlan) -> None:
    """Import what the doors of this plan are made of."""
    if plan.tls is not None:
        import_module(TLS)
        import_module(TLS_CONTEXT)
    if any(listener.proxy_protocol for listener in plan.listeners):
        import_module(PROXY)
    if plan.quic is not None:
        import_module(HALLS)
        choose_hall(plan.worker.engine)


def read_contexts(plan: TlsPlan | None, fds: Sequence[int]) -> Any:
    """Contexts of the material in files in memory, which are closed; None for none.

    Raises:
        ConfigError: it cannot be used.
        OSError: it cannot be read.
    """
    contexts = None
    try:
        for fd in fds:
            if plan is not None:
                # All workers have this file at the same offset: it is read without one.
                octets = os.pread(fd, os.fstat(fd).st_size, 0)
                room = import_module(TLS_CONTEXT)
                contexts = room.Contexts(plan, room.decode(octets))
    finally:
        for fd in fds:
            os.close(fd)
    return contexts


class Doors:
    """The doors of a worker, one for each socket; the secured ones share what secures them.

    Attributes:
        all: the doors.
        contexts: of OpenSSL, or None.
    """

    __slots__ = ("_log", "_plan", "_row", "_secured", "all", "contexts")

    def __init__(
        self,
        plan: DaemonPlan,
        listeners: Sequence[tuple[ListenerPlan, socket.socket]],
        contexts: Any,
        desk: Desk,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._plan = plan.tls
        self._log = desk.log
        self._row = desk.row
        self._secured: Any = None
        self.contexts = contexts
        if plan.tls is not None:
            import_module(TLS_CONTEXT).mute_odd_names()
            self._secured = import_module(TLS).Secured(
                contexts,
                secured(plan.worker.engine, plan.worker.http),
                plan.tls.handshake_timeout_s,
                loop.call_soon,
                self.failed,
            )
        self.all = tuple(
            Door(sock, _advertising(self._maker(plan, entry), plan, entry, sock))
            for entry, sock in listeners
        )

    def renew(self, fds: Sequence[int]) -> bool:
        """Use new certificates and ticket keys for the connections to come; whether there are."""
        try:
            contexts = read_contexts(self._plan, fds)
        except (ConfigError, OSError) as error:
            self._log.event("tls_renewal_failed", reason=str(error))
            return False
        if contexts is None or self._secured is None:
            return False
        self.contexts = self._secured.contexts = contexts
        return True

    def failed(self, peer: Peer, reason: str) -> None:
        """A handshake has come to nothing."""
        client = peer.client[0] if peer.client else "a local peer"
        self._row[CONNECTIONS_FAILED] += 1
        self._log.event("tls_failed", client=client, reason=reason)

    def _maker(self, plan: DaemonPlan, listener: ListenerPlan) -> EndpointMaker:
        """The first endpoint of a connection, from the outside in."""
        maker = plain(plan.worker.engine, plan.worker.http)
        if listener.tls:
            assert self._secured is not None, "the planner grants no secured listener without TLS"
            maker = self._secured
        if listener.proxy_protocol:
            maker = import_module(PROXY).behind_proxy(maker)
        return maker


def _advertising(
    maker: EndpointMaker, plan: DaemonPlan, listener: ListenerPlan, sock: socket.socket
) -> EndpointMaker:
    """The maker; where there is HTTP/3 beside it, answers say so (RFC 7838, RFC 9114 3.1.1)."""
    if not listener.http3 or plan.quic is None or not plan.quic.alt_svc_max_age_s:
        return maker
    port = plan.quic.alt_svc_port or sock.getsockname()[1]
    value = f'h3=":{port}"; ma={int(plan.quic.alt_svc_max_age_s)}'
    advertised = replace(plan.worker.limits, alt_svc=value)

    def make(wire: Wire, peer: Peer, service: Service, _: Limits, clock: Clock) -> Endpoint:
        return maker(wire, peer, service, advertised, clock)

    return make
