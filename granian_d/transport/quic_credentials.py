"""What QUIC shows and seals with: of the same files as what TLS over TCP does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.datagrams import Credentials

if TYPE_CHECKING:
    from granian_d.plan import TlsPlan
    from granian_d.transport.tls_context import Material


def credentials_of(plan: TlsPlan, material: Material) -> Credentials:
    """The material of a plan, as an engine of QUIC wants it."""
    pairs = zip(material.pairs, plan.certificates, strict=True)
    return Credentials(
        pairs=tuple((chain, key, pair.password) for (chain, key), pair in pairs),
        ticket_keys=material.ticket_keys,
        ticket_lifetime_s=plan.ticket_lifetime_s,
    )
