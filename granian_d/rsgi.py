"""What RSGI applications import: the counterpart of `granian.rsgi`, name by name.

Transports are here too, for annotations.
"""

from granian_d.interface.rsgi.surface import (
    Headers,
    HTTPProtocol,
    HTTPStreamTransport,
    ProtocolClosed,
    ProtocolError,
    Scope,
    WebsocketMessage,
    WebsocketMessageType,
    WebsocketProtocol,
    WebsocketTransport,
)

__all__ = [
    "HTTPProtocol",
    "HTTPStreamTransport",
    "Headers",
    "ProtocolClosed",
    "ProtocolError",
    "Scope",
    "WebsocketMessage",
    "WebsocketMessageType",
    "WebsocketProtocol",
    "WebsocketTransport",
]
