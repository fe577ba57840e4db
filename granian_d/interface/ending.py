"""How a session ends with the call of its application, whatever that speaks.

    the application          not accepted             being refused   accepted
    returns                  403                      told; cut       Close 1000
    raises                   told; 500                told; cut       told; Close 1011
    raises: peer has gone    cut                      cut             Close 1000
    is cancelled by us       cut                      cut             Close 1001

What is over already stays as it is; an error is told all the same. Another session's peer may
have gone, too (a broadcast): that excuses nobody whose own peer is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.errors import Disconnected, FlowError
from granian_d.http import session as sessions
from granian_d.http import states
from granian_d.interface.acts import nobody
from granian_d.interface.departure import is_departure

if TYPE_CHECKING:
    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session

_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]
FORBIDDEN: Final = 403  # what ASGI and RSGI refuse with by default

# RFC 6455 7.4.1.
NORMAL: Final = 1000
_GOING_AWAY: Final = 1001
_INTERNAL_ERROR: Final = 1011


def refuse(exchange: Exchange, status: int, reason: str = "") -> None:
    """Answer with a status, and a reason if there is one.

    Raises:
        InvalidResponse: the status must not go out.
        Disconnected: the peer has gone.
    """
    exchange.start(status, _TEXT if reason else ())
    exchange.send(reason.encode(), True)


def has_gone(session: Session) -> bool:
    """Whether the peer has gone, or the engine has ended the session."""
    if session.exchange.state == states.STARTED:
        return session.exchange.gone  # it is being refused
    if session.state == sessions.OFFERED:
        return session.exchange.gone or session.exchange.state >= states.FINISHED
    return session.state == sessions.CLOSED


def end_returned(session: Session) -> None:
    """The application has returned."""
    exchange = session.exchange
    if session.state == sessions.OPEN or has_gone(session):
        _close_or_cut(session, NORMAL)
    elif exchange.state == states.AWAITED:
        try:
            refuse(exchange, FORBIDDEN)
        except Disconnected:
            exchange.abort()
    elif exchange.state == states.STARTED:
        error = FlowError("the application returned before the end of its response")
        exchange.observer.crashed(exchange, error)
        exchange.fail()
    _leave(session)


def end_raised(session: Session, error: BaseException, ours: bool, departed: bool) -> None:
    """The application has raised.

    Args:
        session: of the call.
        error: what came out of it.
        ours: because we have cancelled it.
        departed: it has been told that its own peer has gone.
    """
    exchange = session.exchange
    if ours:
        _close_or_cut(session, _GOING_AWAY)
    elif (departed or has_gone(session)) and is_departure(error):
        _close_or_cut(session, NORMAL)
    else:
        exchange.observer.crashed(exchange, error)
        if session.state == sessions.OPEN:
            session.close(_INTERNAL_ERROR)
        elif exchange.state < states.FINISHED:
            exchange.fail()
    _leave(session)


def _close_or_cut(session: Session, code: int) -> None:
    """End what the application has not: a session, or a response that nobody will complete."""
    if session.state == sessions.OPEN:
        session.close(code)
    elif session.exchange.state < states.FINISHED:
        session.exchange.abort()


def _leave(session: Session) -> None:
    """Nobody of the call waits any more."""
    session.when_readable(nobody)
    session.when_room(nobody)
