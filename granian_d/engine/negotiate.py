"""Which protocol a connection begins with: by configuration, its first octets, or ALPN.

HTTP/1.1 may become another one later: `engine.upgrade`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from granian_d.engine.choose import choose
from granian_d.engine.prelude import Prelude
from granian_d.errors import ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Endpoint, EndpointMaker, Service, Wire
    from granian_d.http.message import Peer
    from granian_d.plan import Limits
    from granian_d.plan.model import EngineName, HttpMode

# RFC 9113 3.4. Its first line is no request that HTTP/1.1 could answer with anything but an error.
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# What is offered by ALPN (RFC 7301), the dearest first.
PROTOCOLS: Final[dict[HttpMode, tuple[str, ...]]] = {
    "auto": ("h2", "http/1.1"),
    "1": ("http/1.1",),
    "2": ("h2",),
}


def plain(engine: EngineName, http: HttpMode) -> EndpointMaker:
    """What begins a connection without TLS."""
    if http == "1":
        return choose(engine, "h1")
    if http == "2":
        return choose(engine, "h2")
    return partial(Greeting, engine)


def secured(engine: EngineName, http: HttpMode) -> Callable[[str | None], EndpointMaker]:
    """What begins a connection with TLS, by the protocol that ALPN came to (None: no ALPN)."""
    default = "h2" if http == "2" else "http/1.1"

    def maker(protocol: str | None) -> EndpointMaker:
        return choose(engine, "h2" if (protocol or default) == "h2" else "h1")

    return maker


def _is_foreign(octets: bytes) -> bool:
    """Whether the first line has neither a version of HTTP nor a path: an answer would be noise.

    Everything else, and a line that is not whole, is for HTTP/1 to judge; it has 400 for most.
    """
    line, end, _ = octets.lstrip(b"\r\n").partition(b"\n")
    return bool(end) and b" HTTP/" not in line and b" /" not in line


class Greeting(Prelude):
    """The endpoint of a connection whose peer has not shown which version it speaks.

    With "prior knowledge" (RFC 9113 3.3) a client begins with the preface; all others begin with
    something else, mostly in their first octet.
    """

    __slots__ = ("_engine",)

    def __init__(
        self,
        engine: EngineName,
        wire: Wire,
        peer: Peer,
        service: Service,
        limits: Limits,
        clock: Clock,
    ) -> None:
        super().__init__(wire, peer, service, limits, clock)
        self._engine = engine

    def feed_data(self, data: bytes) -> None:
        """Octets have arrived."""
        self._held += data
        if PREFACE.startswith(self._held[: len(PREFACE)]):
            if len(self._held) >= len(PREFACE):
                self._begin("h2")
        elif _is_foreign(self._held):
            self._refuse()
        else:
            self._begin("h1")

    def feed_eof(self) -> None:
        """The peer has closed its sending side: HTTP/1.1 knows what to answer to half a line."""
        self._begin("h1").feed_eof()

    def _refuse(self) -> None:
        violation = ProtocolViolation("neither a request nor the preface of HTTP/2", "RFC 9113 3.4")
        self._service.observer.refused(self._peer, violation)
        self._end()

    def _begin(self, protocol: Literal["h1", "h2"]) -> Endpoint:
        return self._pass_on(choose(self._engine, protocol), self._peer, self._held)
