"""Where exchanges go, and what is counted and logged of them."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from granian_d.errors import InvalidResponse
from granian_d.observe.scoreboard import ACTIVE, CRASHED, REFUSED, REQUESTS, SENT_BYTES

if TYPE_CHECKING:
    from granian_d.errors import ProtocolViolation
    from granian_d.http.exchange import Exchange, Observer
    from granian_d.http.message import Peer
    from granian_d.interface.contract import Interface
    from granian_d.observe.access_log import AccessLog
    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Row


class Dispatch:
    """The engine's Service and its Observer (engine.contract, http.exchange)."""

    __slots__ = ("_access_log", "_interface", "_log", "_row", "observer")

    def __init__(
        self, interface: Interface, row: Row, log: Log, access_log: AccessLog | None
    ) -> None:
        self._interface = interface
        self._row = row
        self._log = log
        self._access_log = access_log
        self.observer: Observer = self

    def serve(self, exchange: Exchange) -> None:
        """Have the application answer."""
        self._interface.serve(exchange)

    def began(self, exchange: Exchange) -> None:  # noqa: ARG002 - the observer's signature
        """Count a request that the application is about to see."""
        self._row[ACTIVE] += 1

    def finished(self, exchange: Exchange) -> None:
        """Count an exchange that is over, and log it where that is wanted."""
        row = self._row
        row[ACTIVE] -= 1
        row[REQUESTS] += 1
        row[SENT_BYTES] += exchange.sent_bytes
        if self._access_log is not None:
            self._access_log.write(exchange)

    def crashed(self, exchange: Exchange, error: BaseException) -> None:  # noqa: ARG002 - as above
        """Log a fault of the application."""
        self._row[CRASHED] += 1
        if isinstance(error, InvalidResponse):
            self._log.event("response_invalid", reason=str(error))
        else:
            text = "".join(traceback.format_exception(error)).rstrip()
            self._log.event("application_crashed", traceback=text)

    def refused(self, peer: Peer, violation: ProtocolViolation) -> None:
        """Count a request that the engine answered itself."""
        self._row[REFUSED] += 1
        self._log.event(
            "request_refused",
            client=peer.client[0] if peer.client else "a local peer",
            status=violation.http_status,
            reason=violation.reason,
            section=violation.section,
        )
