"""The names that RSGI applications import, gathered in one place.

`granian_d.rsgi` is their public home; `alias` serves them as `granian.rsgi`, too.
"""

from granian_d.interface.rsgi.faults import ProtocolClosed, ProtocolError
from granian_d.interface.rsgi.headers import Headers
from granian_d.interface.rsgi.protocol import HTTPProtocol
from granian_d.interface.rsgi.scope import Scope
from granian_d.interface.rsgi.transport import HTTPStreamTransport
from granian_d.interface.rsgi.websocket import (
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
