"""The halls of a worker: QUIC at each of its UDP sockets, and who is told of their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granian_d.engine.choose import choose_hall
from granian_d.engine.datagrams import QuicTerms
from granian_d.transport.links import Joined, Links
from granian_d.transport.mailbox import Mailbox
from granian_d.transport.quic_credentials import credentials_of
from granian_d.transport.udp import UdpSocket

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterable

    from granian_d.control.channel import Berth
    from granian_d.engine.contract import Leave, Service
    from granian_d.http.message import Peer
    from granian_d.plan import DaemonPlan
    from granian_d.transport.contract import Connections
    from granian_d.transport.deadlines import Deadlines


class Halls:
    """All of them, from `open` to `close`.

    Args:
        plan: what to obey; it has QUIC.
        berth: the sockets and what else is needed; closed with this.
        generation: of the worker.
        contexts: of OpenSSL: the same certificates are shown here.
        loop: turns for them.
        service: where the exchanges go.
        deadlines: the worker's coarse timer.
        changed: is called whenever the number of connections has changed.
        has_room: whether the worker may have one more.
        failed: is told of a handshake that came to nothing, and why.

    Raises:
        ConfigError: the certificates cannot be used for QUIC.
    """

    __slots__ = ("_links", "_mailbox", "_sockets", "_tls")

    def __init__(
        self,
        plan: DaemonPlan,
        berth: Berth,
        generation: int,
        contexts: Any,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        deadlines: Deadlines,
        changed: Callable[[], None],
        has_room: Callable[[], bool],
        failed: Callable[[Peer, str], None],
    ) -> None:
        assert plan.tls is not None, "the planner grants no HTTP/3 without TLS"
        assert plan.quic is not None, "no berth without HTTP/3"
        self._tls = plan.tls
        self._links = Links(deadlines, changed, has_room, failed)
        self._mailbox = Mailbox(loop, berth.mailbox, berth.seat, berth.key)
        self._sockets = [
            UdpSocket(loop, socks, shared, self._links, self._mailbox)
            for socks, shared in _by_address(berth)
        ]
        make = choose_hall(plan.worker.engine)
        credentials = credentials_of(plan.tls, contexts.material)
        for one in self._sockets:
            terms = QuicTerms(
                seat=berth.seat,
                generation=generation,
                server=one.address,
                key=berth.key,
                credentials=credentials,
                handshake_timeout_s=plan.tls.handshake_timeout_s,
                retry_above=plan.quic.retry_above,
                early_data=plan.quic.early_data,
                idle_timeout_s=plan.quic.idle_timeout_s,
            )
            one.hall = make(one, terms, service, plan.worker.limits, deadlines.clock)

    def join(self, streams: Connections) -> Connections:
        """The connections of the halls together with those that have a socket each."""
        return Joined(streams, self._links, self._drain)

    def open(self) -> None:
        """Read datagrams from now on."""
        self._mailbox.open(self._sockets)
        for one in self._sockets:
            one.open()

    def renew(self, contexts: Any) -> None:
        """Use new certificates and ticket keys for the connections to come.

        Raises:
            ConfigError: they cannot be used for QUIC.
        """
        credentials = credentials_of(self._tls, contexts.material)
        for one in self._sockets:
            one.hall.renew(credentials)

    def sweep(self) -> bool:
        """Feed what has come for a worker that leaves; whether a connection has begun with it."""
        for one in self._sockets:
            one.sweep()
        return bool(self._links.open)

    def close(self) -> None:
        """The worker leaves."""
        for one in self._sockets:
            one.close()
        self._mailbox.close()

    def _drain(self, leave: Leave) -> None:
        for one in self._sockets:
            one.drain(leave)


def _by_address(berth: Berth) -> Iterable[tuple[list[socket.socket], bool]]:
    """The sockets of each address: a connection may come by any of them."""
    found: dict[object, tuple[list[socket.socket], bool]] = {}
    for _, sock, shared in berth.sockets:
        found.setdefault(sock.getsockname(), ([], shared))[0].append(sock)
    return found.values()
