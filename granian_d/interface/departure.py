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
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, Disconnected):
            return True
        if isinstance(link, BaseExceptionGroup):
            return all(is_departure(member) for member in link.exceptions)
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return False


def forget_frames(error: BaseException) -> None:
    """Take the traceback off an error that somebody keeps.

    An exchange raises one and the same error for each pull. With its traceback it would hold
    every frame that was on the stack: the application's, with all that it refers to.
    """
    error.__traceback__ = None
