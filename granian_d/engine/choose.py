"""The one place that picks an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from granian_d.engine.pure.h1 import H1Endpoint

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Endpoint, Service, Wire
    from granian_d.http.message import Peer
    from granian_d.plan import Limits


class EngineMaker(Protocol):
    """What makes the endpoint of a new connection."""

    def __call__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock, /
    ) -> Endpoint:
        """Make it; it is fed from then on."""


def choose() -> EngineMaker:
    """The engine for the connections of a worker."""
    return H1Endpoint
