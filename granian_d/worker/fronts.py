"""Who answers before the application is asked: the daemon about its health, files.

Loaded where there is something of the kind; all others have a plain Dispatch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected
from granian_d.observe import scoreboard
from granian_d.worker.dispatch import Dispatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.static import Site
    from granian_d.observe.scoreboard import Row
    from granian_d.plan import WorkerPlan

STATIC: Final = "granian_d.interface.static"
_STATIC: Final = scoreboard.STATIC  # typed in the compiled form
_STATIC_ERRORS: Final = scoreboard.STATIC_ERRORS

_HEALTH_FIELDS: Final = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
]


class Front:
    """Who answers some requests in the application's place."""

    __slots__ = ()

    def serve(self, exchange: Exchange) -> bool:
        """Answer, if it is for us to answer."""
        raise NotImplementedError

    def converse(self, exchange: Exchange) -> bool:  # noqa: ARG002 - as a front may want it
        """Answer a request for a conversation; if we do not, the application does."""
        return False

    def hides(self, exchange: Exchange) -> bool:  # noqa: ARG002 - as above
        """Whether an exchange is ours, and neither counted nor logged."""
        return False


class Health(Front):
    """Answers at one path how the service is, as the master says.

    Neither the application nor a thread of it is asked, so the answer comes while all are busy. It
    is for whoever looks every other second: neither counted nor logged.
    """

    __slots__ = ("_health", "_path")

    def __init__(self, path: str, health: Row) -> None:
        """Make one.

        Args:
            path: at which is answered.
            health: one word, an index of scoreboard.HEALTHS.
        """
        self._path = path.encode()
        self._health = health

    def serve(self, exchange: Exchange) -> bool:
        """See Front."""
        if not self._asks(exchange):
            return False
        word = scoreboard.HEALTHS[self._health[0]]
        try:
            exchange.start(503 if word == "leaving" else 200, _HEALTH_FIELDS)
            exchange.send(f"{word}\n".encode(), True)
        except Disconnected:
            exchange.abort()
        return True

    def converse(self, exchange: Exchange) -> bool:
        """There is no conversation about health."""
        return self.serve(exchange)

    def hides(self, exchange: Exchange) -> bool:
        """See Front."""
        return self._asks(exchange)

    def _asks(self, exchange: Exchange) -> bool:
        """Whether it is a question to us. What else may be asked there is the application's."""
        head = exchange.head
        if head.raw_path != self._path:
            return False
        return head.method == "GET" or head.method == "HEAD"  # noqa: PLR1714 - no tuple is made


class Files(Front):
    """Answers with files; a conversation is the application's, whatever its path."""

    __slots__ = ("_row", "_serve")

    def __init__(self, site: Site, row: Row) -> None:
        """Make one.

        Args:
            site: what serves them.
            row: the worker's, where it counts.
        """
        self._serve: Callable[[Exchange], bool] = site.serve
        self._row = row

    def serve(self, exchange: Exchange) -> bool:
        """See Front."""
        if not self._serve(exchange):
            return False
        self._row[_STATIC] += 1
        if exchange.status >= 400:
            self._row[_STATIC_ERRORS] += 1
        return True


class FrontedDispatch(Dispatch):
    """A Dispatch that asks others before the application."""

    __slots__ = ("_fronts",)

    def put_before(self, fronts: list[Front]) -> None:
        """Say who is asked first, in that order; to be called before the first exchange."""
        self._fronts = fronts

    def serve(self, exchange: Exchange) -> None:
        """Have somebody answer."""
        if self._peer_of is not None:
            exchange.peer = self._peer_of(exchange.head, exchange.peer)
        for front in self._fronts:
            if front.serve(exchange):
                return
        self._serve(exchange)

    def converse(self, session: Session) -> None:
        """Have somebody accept a conversation, or refuse it."""
        for front in self._fronts:
            if front.converse(session.exchange):
                return
        Dispatch.converse(self, session)

    def began(self, exchange: Exchange) -> None:
        """See Dispatch."""
        if not self._hidden(exchange):
            Dispatch.began(self, exchange)

    def finished(self, exchange: Exchange) -> None:
        """See Dispatch."""
        if not self._hidden(exchange):
            Dispatch.finished(self, exchange)

    def _hidden(self, exchange: Exchange) -> bool:
        for front in self._fronts:  # noqa: SIM110 - no generator is made
            if front.hides(exchange):
                return True
        return False


def preload(plan: WorkerPlan) -> None:
    """Import what `make` will use."""
    if plan.static is not None:
        importlib.import_module(STATIC)


def make(plan: WorkerPlan, health: Row, terms: tuple[Any, ...]) -> Dispatch:
    """The Dispatch of a worker before whose application others are asked.

    Args:
        plan: with `health`, with `static`, or with both.
        health: see Health.
        terms: of a Dispatch.
    """
    interface, row, *_ = terms
    fronts: list[Front] = []
    if plan.health:
        fronts.append(Health(plan.health, health))
    if plan.static is not None:
        site = importlib.import_module(STATIC).Site(plan.static)
        interface.notes += site.notes
        fronts.append(Files(site, row))
    dispatch = FrontedDispatch(*terms)
    dispatch.put_before(fronts)
    return dispatch
