"""Requests that have an id before the application sees them.

Imported only where a log wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.observe import request_ids

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.contract import Interface


class Named:
    """Where a Dispatch takes its exchanges: an Interface, by way of their X-Request-ID.

    Attributes:
        notes: the interface's own.
    """

    __slots__ = ("_interface", "_serve", "notes")

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._serve = interface.serve
        self.notes = interface.notes

    def serve(self, exchange: Exchange) -> None:
        """See Interface."""
        request_ids.of(exchange.head)
        self._serve(exchange)

    def converse(self, session: Session) -> None:
        """See Interface."""
        request_ids.of(session.exchange.head)
        self._interface.converse(session)
