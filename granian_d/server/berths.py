"""Where a server within a program reads datagrams: one UDP socket an address, for all of its lives.

During a reload two of them read: what the new one has read for the old one, it hands on.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from granian_d.control.channel import Berth
from granian_d.engine.connection_ids import KEY_BYTES, mailbox
from granian_d.errors import ListenError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from granian_d.plan import DaemonPlan, ListenerPlan


class Berths:
    """The open UDP sockets, by the key of their listeners.

    Args:
        streams: gives the sockets of a listener that accept connections.
    """

    __slots__ = ("_held", "_key", "_streams")

    def __init__(
        self, streams: Callable[[Sequence[ListenerPlan]], Sequence[socket.socket]]
    ) -> None:
        self._streams = streams
        self._key = os.urandom(KEY_BYTES)
        self._held: dict[str, list[socket.socket]] = {}

    def open(self, plan: DaemonPlan) -> None:
        """Open what is not open yet.

        Raises:
            ListenError: an address cannot be had.
        """
        for listener in plan.listeners:
            if listener.http3 and listener.key not in self._held:
                streams = self._streams([listener])
                self._held[listener.key] = [_open_like(one, listener.key) for one in streams]

    def sockets(self, listener: ListenerPlan) -> Sequence[socket.socket]:
        """Those of a listener."""
        return self._held.get(listener.key, ())

    def make(self, plan: DaemonPlan, seat: int) -> Berth | None:
        """A berth for one life, which closes it; None without HTTP/3.

        Raises:
            OSError: a socket cannot be had.
        """
        if plan.quic is None:
            return None
        box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        box.bind(mailbox(self._key, seat))
        box.setblocking(False)
        sockets = [
            (listener, sock.dup(), True)
            for listener in plan.listeners
            for sock in self.sockets(listener)
        ]
        return Berth(seat, self._key, tuple(sockets), box)

    def retain(self, keys: Collection[str]) -> None:
        """Close all but those of these listeners."""
        for key in [key for key in self._held if key not in keys]:
            for sock in self._held.pop(key):
                sock.close()


def _open_like(stream: socket.socket, key: str) -> socket.socket:
    """A UDP socket at the address of a stream socket."""
    sock = socket.socket(stream.family, socket.SOCK_DGRAM)
    try:
        if stream.family == socket.AF_INET6:
            alone = stream.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, alone)
        sock.bind(stream.getsockname())
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {key} for HTTP/3: {error.strerror}") from error
    sock.setblocking(False)
    return sock
