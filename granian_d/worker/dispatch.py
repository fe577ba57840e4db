"""Where exchanges go, and what is counted and logged of them."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

from granian_d.errors import InvalidResponse, PeerTooBusy
from granian_d.http.exchange import Observer
from granian_d.http.ticks import now_ns
from granian_d.observe import scoreboard
from granian_d.worker.last_request import LastRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.errors import ProtocolViolation
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer, RequestHead
    from granian_d.http.session import Session
    from granian_d.interface.contract import Interface
    from granian_d.observe.log import Log
    from granian_d.observe.scoreboard import Row
    from granian_d.worker.desk import RequestLog
    from granian_d.worker.named import Named

# Typed in the compiled form, in which they index memory without asking anybody.
_ACTIVE: Final = scoreboard.ACTIVE
_REQUESTS: Final = scoreboard.REQUESTS
_CRASHED: Final = scoreboard.CRASHED
_REFUSED: Final = scoreboard.REFUSED
_SENT_BYTES: Final = scoreboard.SENT_BYTES
_LATENCY_NS: Final = scoreboard.LATENCY_NS
_CALMED: Final = scoreboard.CALMED
_RECEIVED_BYTES: Final = scoreboard.RECEIVED_BYTES
_ANSWERS: Final = scoreboard.ANSWERS_0XX
_OTHER: Final = scoreboard.ANSWERS_6XX - scoreboard.ANSWERS_0XX
_CONVERSATIONS: Final = scoreboard.CONVERSATIONS
_CONVERSED: Final = scoreboard.CONVERSED
_HISTOGRAM: Final = len(scoreboard.COLUMNS)
_BUCKETS: Final = scoreboard.BUCKETS
_SHIFT: Final = scoreboard.BUCKET_SHIFT


class Dispatch(Observer):
    """The engine's Service and its Observer (engine.contract, http.exchange)."""

    __slots__ = (
        "_access_log",
        "_interface",
        "_last",
        "_log",
        "_peer_of",
        "_row",
        "_serve",
        "observer",
    )

    def __init__(
        self,
        interface: Interface | Named,
        row: Row,
        log: Log,
        access_log: RequestLog | None,
        peer_of: Callable[[RequestHead, Peer], Peer] | None,
    ) -> None:
        """Make one.

        Args:
            interface: what the application is spoken to through.
            row: the worker's, where it counts.
            log: for faults.
            access_log: None where requests are not logged.
            peer_of: says for whom a request is made, of what its fields say and the two ends of
                its connection; None where proxies are not believed.
        """
        self._interface = interface
        self._peer_of = peer_of
        self._serve = interface.serve
        self._row = row
        self._last = LastRequest(row)
        self._log = log
        self._access_log = access_log
        self.observer: Observer = self

    def serve(self, exchange: Exchange) -> None:
        """Have the application answer."""
        if self._peer_of is not None:
            exchange.peer = self._peer_of(exchange.head, exchange.peer)
        self._serve(exchange)

    def converse(self, session: Session) -> None:
        """Have the application accept a conversation, or refuse it."""
        self._row[_CONVERSATIONS] += 1
        if self._peer_of is not None:
            exchange = session.exchange
            exchange.peer = self._peer_of(exchange.head, exchange.peer)
        self._interface.converse(session)

    def began(self, exchange: Exchange) -> None:
        """Count a request that the application is about to see."""
        self._row[_ACTIVE] += 1
        self._last.begun(exchange)

    def finished(self, exchange: Exchange) -> None:
        """Count an exchange that is over, and log it where that is wanted."""
        row = self._row
        row[_ACTIVE] -= 1
        row[_REQUESTS] += 1
        row[_SENT_BYTES] += exchange.sent_bytes
        row[_RECEIVED_BYTES] += exchange.received_bytes
        row[_ANSWERS + min(exchange.status // 100, _OTHER)] += 1
        if not exchange.head.protocol:  # the length of a conversation is no latency
            self._time(exchange)
        else:
            row[_CONVERSATIONS] -= 1
            row[_CONVERSED] += 1
        if self._access_log is not None:
            self._access_log.write(exchange)

    def _time(self, exchange: Exchange) -> None:
        """Put the latency of an exchange into its bucket."""
        latency_ns = now_ns() - exchange.started_ns
        bucket = 0
        left = latency_ns >> _SHIFT
        while left and bucket < _BUCKETS - 1:
            left >>= 1
            bucket += 1
        self._row[_LATENCY_NS] += latency_ns
        self._row[_HISTOGRAM + bucket] += 1

    def crashed(self, exchange: Exchange, error: BaseException) -> None:  # noqa: ARG002 - as above
        """Log a fault of the application."""
        self._row[_CRASHED] += 1
        if isinstance(error, InvalidResponse):
            self._log.event("response_invalid", reason=str(error))
        else:
            text = "".join(traceback.format_exception(error)).rstrip()
            self._log.event("application_crashed", traceback=text)

    def explained(self, exchange: Exchange, text: str) -> None:
        """Log what the application says for debugging."""
        path = exchange.head.raw_path.decode("latin-1")
        self._log.event("application_debug", method=exchange.head.method, path=path, info=text)

    def refused(self, peer: Peer, violation: ProtocolViolation) -> None:
        """Count a request that the engine answered itself, or a connection that it ended."""
        self._row[_REFUSED] += 1
        if violation.h2_code == PeerTooBusy.h2_code:
            self._row[_CALMED] += 1
        self._log.event(
            "request_refused",
            client=peer.client[0] if peer.client else "a local peer",
            status=violation.http_status,
            reason=violation.reason,
            section=violation.section,
        )
