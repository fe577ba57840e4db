"""HTTP/3: which listeners have it, and the table `quic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.engine.choose import QUIC_MISSING, judge_credentials, speaks_quic
from granian_d.errors import ConfigError
from granian_d.plan.model import Http3Limits, QuicPlan
from granian_d.transport.quic_credentials import credentials_of
from granian_d.transport.tls_context import TlsFault, read_material

if TYPE_CHECKING:
    from granian_d.plan import ListenerPlan, TlsPlan
    from granian_d.settings.load import Loaded
    from granian_d.settings.serving import Listen
    from granian_d.settings.toml_lines import KeyPath


def speaks_http3(
    loaded: Loaded, path: KeyPath, entry: Listen, *, tls: bool, proxy_protocol: bool
) -> bool:
    """Whether a listener has HTTP/3; the option for all passes over those that cannot.

    Args:
        loaded: the settings.
        path: of the option that is the listener.
        entry: the listener.
        tls: its connections begin with a handshake.
        proxy_protocol: and before that with a PROXY header.

    Raises:
        ConfigError: it was asked for here, and cannot be.
    """
    wanted = loaded.settings.http3 if entry.http3 is None else entry.http3
    if not wanted:
        return False
    where: KeyPath = (*path, "http3") if entry.http3 else ("http3",)
    if not speaks_quic():
        raise loaded.refusal(where, QUIC_MISSING)
    if loaded.settings.ssl.ca is not None:
        reason = "is not possible with ssl.ca: certificates of clients are not asked for over QUIC"
        raise loaded.refusal(where, reason)
    reason = _obstacle(entry, tls=tls, proxy_protocol=proxy_protocol)
    if reason and entry.http3:
        raise loaded.refusal(where, reason)
    return not reason


def _obstacle(entry: Listen, *, tls: bool, proxy_protocol: bool) -> str:
    """Why a listener cannot have it; "" if it can."""
    if entry.address.kind == "unix":
        return "is of no use: a Unix socket has no UDP port"
    if not tls:
        return "needs TLS: ssl.certificate and ssl.keyfile"
    if proxy_protocol:
        return "is not possible with proxy_protocol: no datagram says whose it is"
    return ""


def plan_quic(
    loaded: Loaded, listeners: tuple[ListenerPlan, ...], tls: TlsPlan | None
) -> QuicPlan | None:
    """The plan; None where no listener has HTTP/3.

    Raises:
        ConfigError: it is wanted, and there is no listener that can have it, or a certificate is of
            no use for it.
    """
    if not any(listener.http3 for listener in listeners):
        if loaded.settings.http3:
            reason = "needs a TCP port with TLS: ssl.certificate and ssl.keyfile"
            raise loaded.refusal(("http3",), reason)
        return None
    if tls is not None:
        _try(loaded, tls)
    table = loaded.settings.quic
    return QuicPlan(
        idle_timeout_s=table.idle_timeout,
        retry_above=table.retry_above,
        early_data=table.early_data,
        alt_svc_port=table.alt_svc_port or 0,
        alt_svc_max_age_s=table.alt_svc_max_age,
    )


def _try(loaded: Loaded, tls: TlsPlan) -> None:
    """See that the certificates can be used, which OpenSSL takes."""
    try:
        judge_credentials(credentials_of(tls, read_material(tls)))
    except TlsFault as fault:
        if not (loaded.surroundings.rehearsal and fault.denied):
            raise
    except ConfigError as error:
        raise loaded.refusal(("ssl",), str(error)) from error


def plan_http3_limits(loaded: Loaded, listeners: tuple[ListenerPlan, ...]) -> Http3Limits | None:
    """What one peer may cost; None where no listener has HTTP/3."""
    if not any(listener.http3 for listener in listeners):
        return None
    table = loaded.settings.quic
    return Http3Limits(
        streams=table.max_concurrent_streams,
        connection_window_bytes=table.initial_connection_window_size,
        stream_window_bytes=table.initial_stream_window_size,
        send_buffer_bytes=table.max_send_buffer_size,
    )
