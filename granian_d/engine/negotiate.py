"""Which protocol a connection begins with: by configuration, its first octets, or ALPN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.choose import choose

if TYPE_CHECKING:
    from granian_d.engine.contract import EndpointMaker
    from granian_d.plan.model import EngineName, HttpMode


def plain(engine: EngineName, http: HttpMode) -> EndpointMaker:
    """What begins a connection without TLS."""
    del http  # HTTP/1 alone so far
    return choose(engine)
