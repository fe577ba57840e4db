"""What endpoints have in common that read the first octets, and then hand their wire over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.contract import NEVER
from granian_d.engine.upgrade import hand_over

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Endpoint, EndpointMaker, Leave, Service, Wire
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer
    from granian_d.plan import Limits


class Prelude:
    """An endpoint (engine.contract) until it is known which one follows; a subclass finds out.

    Args:
        wire: of the connection.
        peer: its two ends, as far as they are known.
        service: handed on.
        limits: what is read here has the time of a request's head.
        clock: the worker's.
    """

    __slots__ = ("_clock", "_held", "_leave", "_limits", "_peer", "_service", "_wire", "deadline")

    def __init__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock
    ) -> None:
        self._wire = wire
        self._peer = peer
        self._service = service
        self._limits = limits
        self._clock = clock
        self._held = b""
        self._leave: Leave | None = None
        self.deadline = clock.now + limits.head_timeout_s

    def feed_data(self, data: bytes) -> None:
        """Octets have arrived."""
        raise NotImplementedError

    def feed_eof(self) -> None:
        """The peer has closed its sending side."""
        raise NotImplementedError

    def feed_lost(self) -> None:
        """The connection is gone; nothing depends on it yet."""
        self.deadline = NEVER

    def feed_room(self) -> None:
        """Nothing has been written."""

    def expire(self) -> None:
        """`deadline` may have passed: what has not come by then will not be waited for."""
        if self._clock.now >= self.deadline:
            self._end()

    def drain(self, leave: Leave) -> None:
        """Wait no longer than for a request on an idle connection; who follows is told."""
        self._leave = leave
        self.deadline = min(self.deadline, self._clock.now + leave.idle_s)

    def under_way(self, found: list[Exchange]) -> None:
        """No request has been read."""

    def reset(self, exchange: Exchange) -> None:
        """There is none to be cut."""

    def _end(self) -> None:
        """Close without a word."""
        self.deadline = NEVER
        self._wire.finish()

    def _pass_on(self, maker: EndpointMaker, peer: Peer, rest: bytes) -> Endpoint:
        """Hand the wire over, with those octets of what has come that were not ours."""
        endpoint = maker(self._wire, peer, self._service, self._limits, self._clock)
        self.deadline = NEVER
        hand_over(self._wire, endpoint, self._leave, rest, eof=False)
        return endpoint
