"""Peers that go: telling an application's failure from its echo, and not keeping frames for it.

`send`, `wsgi.input` and their kin raise Disconnected into an application. What then comes out of
it is seldom that error itself: frameworks raise their own in its place, task groups wrap it. None
of this is a failure of the application, and a log full of it would hide those that are.
"""

from __future__ import annotations

from granian_d.errors import Disconnected


def is_departure(error: BaseException) -> bool:
    """Whether `error` is Disconnected, or came about while an application dealt with it.

    Follows what the error was raised from (or while handling), and a group is a departure when
    all of its members are. The price: an application's own mistake in code that handles a
    disconnection is not told either.
    """
    return _stems_from_departure(error, set())


def _stems_from_departure(error: BaseException, seen: set[int]) -> bool:
    """`seen`: errors looked at already; a member's context may be the very group that holds it."""
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, Disconnected):
            return True
        seen.add(id(link))
        if isinstance(link, BaseExceptionGroup):
            return all(_stems_from_departure(member, seen) for member in link.exceptions)
        link = link.__cause__ or link.__context__
    return False


def forget_frames(error: BaseException) -> None:
    """Take the traceback off an error that somebody keeps.

    An exchange raises one and the same error for each pull. With its traceback it would hold
    every frame that was on the stack: the application's, with all that it refers to.
    """
    error.__traceback__ = None
