"""A connection that begins with a PROXY header: whose it is, then whatever is spoken on it.

The outermost layer of a connection. The endpoint waits for the header and makes the next one, with
the ends that the header names. A connection that begins otherwise is cut and never served: as the
specification demands, there is no guessing whether a proxy or somebody else has come.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from granian_d.engine.contract import NEVER
from granian_d.engine.prelude import Prelude
from granian_d.errors import ProtocolViolation, RequestTimeout
from granian_d.http.message import Peer
from granian_d.transport.proxy_header import read_header

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, EndpointMaker, Service, Wire
    from granian_d.plan import Limits
    from granian_d.transport.proxy_header import Proxied


def behind_proxy(following: EndpointMaker) -> EndpointMaker:
    """What begins a connection with the PROXY header, and goes on with `following`."""
    return partial(ProxyEndpoint, following)


class ProxyEndpoint(Prelude):
    """Waits for the header, then makes `following`; `peer` is the connection's own ends."""

    __slots__ = ("_following",)

    def __init__(
        self,
        following: EndpointMaker,
        wire: Wire,
        peer: Peer,
        service: Service,
        limits: Limits,
        clock: Clock,
    ) -> None:
        super().__init__(wire, peer, service, limits, clock)
        self._following = following

    def feed_data(self, data: bytes) -> None:
        """Bytes of the header, and perhaps of what follows it."""
        self._held += data
        try:
            proxied = read_header(self._held)
        except ProtocolViolation as violation:
            self._refuse(violation)
            return
        if proxied is not None:
            peer = _proxied_peer(proxied, self._peer)
            self._pass_on(self._following, peer, self._held[proxied.size :])

    def feed_eof(self) -> None:
        """The end: of a look at whether somebody listens, or in the midst of a header."""
        if self._held:
            self._refuse(ProtocolViolation("an incomplete PROXY header", "PROXY 2"))
        else:
            self._end()

    def expire(self) -> None:
        """The header has not come in time."""
        if self._clock.now < self.deadline:
            return
        if self._held:
            self._refuse(RequestTimeout("a PROXY header that did not end in time", "PROXY 2"))
        else:
            self._end()

    def _refuse(self, violation: ProtocolViolation) -> None:
        self.deadline = NEVER
        self._service.observer.refused(self._peer, violation)
        self._wire.abort()


def _proxied_peer(proxied: Proxied, peer: Peer) -> Peer:
    """The two ends that count.

    A TLS connection of the client with the proxy makes the scheme https. `tls` stays what it is:
    it says what a handshake of our own came to.
    """
    client, server = (peer.client, peer.server) if proxied.ends is None else proxied.ends
    return Peer(client, server, "https" if proxied.secure else peer.scheme, peer.tls)
