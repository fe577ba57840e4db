"""What a connection of HTTP/1.1 may become, at the request of its peer (RFC 9110 7.8).

Who does not ask properly is not refused but answered over HTTP/1.1, as RFC 9110 lets a server
ignore Upgrade; a WebSocket's handshake has rules of its own (http.handshake).
"""

from __future__ import annotations

import binascii
from importlib import import_module
from typing import TYPE_CHECKING, Final

from granian_d.engine.choose import choose
from granian_d.http.fields import members, values
from granian_d.http.message import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Endpoint, Leave, Service, Wire
    from granian_d.http.exchange import Exchange
    from granian_d.http.handshake import Offer
    from granian_d.http.message import Peer
    from granian_d.plan import Limits
    from granian_d.plan.model import EngineName

WEBSOCKET: Final = "websocket"
H2C: Final = "h2c"

# Of an answer right behind the 101, before the client has sent its preface: curl gives up when more
# than 32 KiB come with it.
EARLY_BYTES: Final = 8192

# RFC 4648 5 to 4; what belongs to the other alphabet becomes what belongs to none.
_BASE64: Final = bytes.maketrans(b"-_+/", b"+/!!")
_SETTING_BYTES: Final = 6  # of one setting in a SETTINGS frame (RFC 9113 6.5.1)

# Fields that spoke of the connection as it was (RFC 7540 3.2.1, RFC 9113 8.2.2); the authority is
# known, so Host goes, too: in HTTP/2 there is :authority.
_OF_HTTP1: Final = frozenset(
    (b"connection", b"upgrade", b"http2-settings", b"keep-alive", b"proxy-connection", b"host")
)


def asked_for(head: RequestHead, scheme: str, limits: Limits) -> str:
    """The first protocol that is asked for and can be spoken here; "" if there is none.

    Args:
        head: judged.
        scheme: of the connection: on a secured one HTTP/2 is found by ALPN (RFC 9113 3.2).
        limits: say what is offered.
    """
    if head.version != "1.1" or b"upgrade" not in members(head.fields, b"connection"):
        return ""
    for protocol in members(head.fields, b"upgrade"):
        if head.content_length != 0:
            return ""  # it would have to be read before the other protocol can begin
        if protocol == b"websocket" and limits.websocket is not None:
            return WEBSOCKET
        if protocol == b"h2c" and limits.h2c and scheme == "http" and _may_become_h2(head):
            return H2C
    return ""


def _may_become_h2(head: RequestHead) -> bool:
    """Whether the request says what it needs to be stream 1 (RFC 7540 3.2, 3.2.1)."""
    return (
        b"http2-settings" in members(head.fields, b"connection")
        and len(values(head.fields, b"http2-settings")) == 1
        and _settings(head) is not None
    )


def _settings(head: RequestHead) -> bytes | None:
    """The payload of the SETTINGS frame in HTTP2-Settings: base64url without padding."""
    [text] = values(head.fields, b"http2-settings")
    octets = text.translate(_BASE64) + b"=" * (-len(text) % 4)
    try:
        payload = binascii.a2b_base64(octets, strict_mode=True)
    except binascii.Error:
        return None
    return None if len(payload) % _SETTING_BYTES else payload


def _as_h2(head: RequestHead) -> tuple[RequestHead, bytes]:
    """The request as one of HTTP/2, and the payload of its SETTINGS frame."""
    fields = [field for field in head.fields if field[0] not in _OF_HTTP1]
    settings = _settings(head)
    assert settings is not None
    request = RequestHead(
        head.method, head.raw_path, head.query, head.authority, "2", fields, 0, False
    )
    return request, settings


def judge_offer(head: RequestHead) -> Offer:
    """What a request for a WebSocket offers; see http.handshake, which is imported when one comes.

    Raises:
        ProtocolViolation: it is not made by the rules.
    """
    offer: Offer = import_module("granian_d.http.handshake").judge_handshake(head)
    return offer


def continue_as_h2(
    engine: EngineName,
    head: RequestHead,
    peer: Peer,
    service: Service,
    limits: Limits,
    clock: Clock,
) -> Callable[[Wire], Endpoint]:
    """What goes on behind the 101, with the request as its first one (RFC 7540 3.2)."""
    make = choose(engine, "h2c")
    request, settings = _as_h2(head)
    return lambda wire: make(wire, peer, service, limits, clock, request, settings)


def offer_session(
    engine: EngineName,
    exchange: Exchange,
    offer: Offer,
    service: Service,
    limits: Limits,
    clock: Clock,
) -> None:
    """Have the application accept a conversation, or refuse it."""
    exchange.head.protocol = WEBSOCKET
    service.converse(choose(engine, "websocket")(exchange, offer, limits, clock))


def hand_over(wire: Wire, endpoint: Endpoint, leave: Leave | None, rest: bytes, eof: bool) -> None:
    """Have `endpoint` go on where another one stops.

    Args:
        wire: theirs.
        endpoint: has been fed nothing yet.
        leave: the terms of the drain, if it was ordered already.
        rest: what has come behind the old protocol's last octet.
        eof: the peer has closed its sending side.
    """
    wire.switch(endpoint)
    if leave is not None:
        endpoint.drain(leave)
    if rest:
        endpoint.feed_data(rest)
    if eof:
        endpoint.feed_eof()
