"""WebSocket in RSGI's terms: what an application is given, and what it receives.

The protocol and its transport are given as types: an application that serves both kinds of
requests names them. Objects of these types come from the room of Sessions, not from here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class WebsocketMessageType(IntEnum):
    """What a received message is."""

    close = 0
    bytes = 1
    string = 2


class WebsocketMessage:
    """A received message. One of kind `close` has no `data`."""

    __slots__ = ("data", "kind")

    kind: WebsocketMessageType
    data: bytes | str

    def __init__(self, kind: WebsocketMessageType, data: bytes | str | None = None) -> None:
        self.kind = kind
        if data is not None:
            self.data = data


class WebsocketTransport(Protocol):
    """An accepted conversation."""

    async def receive(self) -> WebsocketMessage:
        """The next message."""

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""

    async def send_str(self, data: str) -> None:
        """Send a text message."""


class WebsocketProtocol(Protocol):
    """An offered conversation: to be accepted, or to be closed."""

    async def accept(self) -> WebsocketTransport:
        """Accept it."""

    def close(self, status: int | None = None) -> None:
        """Refuse it with an HTTP status, or end it when it has been accepted."""
