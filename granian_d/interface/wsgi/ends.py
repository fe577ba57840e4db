"""How an exchange ends when something has gone wrong with its call. On the loop's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from granian_d.errors import Disconnected, InvalidResponse, RemoteError
from granian_d.http import states
from granian_d.interface.departure import forget_frames, is_departure

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange


def give_up(exchange: Exchange, error: RemoteError) -> None:
    """The request will never be complete, and the application has not seen it."""
    forget_frames(error)
    if isinstance(error, Disconnected):  # otherwise the engine has dealt with it
        exchange.abort()


def refused(exchange: Exchange, error: Exception) -> None:
    """The exchange did not take what it was given."""
    # Our side keeps the order, so out of order means that the engine has ended the exchange.
    over = exchange.state >= states.FINISHED and not isinstance(error, InvalidResponse)
    if over or is_departure(error):
        exchange.abort()
    else:
        exchange.observer.crashed(exchange, error)
        exchange.fail()
    forget_frames(error)


def crashed(exchange: Exchange, error: BaseException) -> None:
    """`error` came out of the application."""
    departed = is_departure(error)
    if not departed:
        exchange.observer.crashed(exchange, error)
    if exchange.state == states.FINISHED:
        return
    if departed:
        exchange.abort()
    else:
        exchange.fail()
