"""A call of the application that receives and sends messages; `receive` and `send` themselves.

Rules of this file:
- An awaitable that can complete at once does. A Future is made only where one must really wait.
- Any number of tasks may wait. Below there is one waiter: whoever is left waits through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granian_d.interface.acts import Act, nobody, wake, without
from granian_d.interface.calls import Call

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from granian_d.http.exchange import Exchange
    from granian_d.http.session import Session
    from granian_d.interface.acts import Waiters
    from granian_d.interface.calls import Calls

Message = dict[str, Any]


class Talk(Call):
    """What calls for an Exchange and calls for a Session have in common."""

    __slots__ = ("_calls", "_readers", "_writers")

    _calls: Calls
    _readers: Waiters
    _writers: Waiters

    # --- what the application is given ---------------------------------------------------------

    def receive(self) -> Receiving:
        """The next message for the application."""
        return Receiving(self)

    def send(self, message: Message) -> Sending:
        """Take one message of the application; done when there is room for the next."""
        return Sending(self, message)

    # --- what it comes to ----------------------------------------------------------------------

    def received(self) -> Message | None:
        """The next message for the application, None when one must wait for it."""
        raise NotImplementedError

    def take(self, message: Message) -> Coroutine[Any, Any, None] | None:
        """Take one message; None, or the wait for room that must follow.

        Raises:
            FlowError: it has no meaning now.
            InvalidResponse: what it says must not go out.
            Disconnected: the peer has gone.
        """
        raise NotImplementedError

    def watch(self) -> None:
        """Have the readers woken when there may be a message."""
        raise NotImplementedError

    def unwatch(self) -> None:
        """Nobody waits for a message any more."""
        raise NotImplementedError

    def check_peer(self) -> None:
        """Raise Disconnected if who waited for room has waited in vain."""
        raise NotImplementedError

    # --- waiting -----------------------------------------------------------------------------

    async def wait_for_message(self) -> Message:
        """The next message, when it has come; `received` has just found none."""
        message = None
        while message is None:
            waiter = self._calls.loop.create_future()
            self._readers += (waiter,)
            self.watch()
            try:
                await waiter
            finally:
                if waiter in self._readers:  # it was cancelled
                    self._readers = without(waiter, self._readers)
                    if not self._readers:
                        self.unwatch()
            message = self.received()
        return message

    async def wait_for_room(self, way: Exchange | Session) -> None:
        """Wait until `way` takes more; raises what `check_peer` does."""
        waiter = self._calls.loop.create_future()
        self._writers += (waiter,)
        way.when_room(self._wake_writers)
        try:
            await waiter
        finally:
            if waiter in self._writers:  # it was cancelled
                self._writers = without(waiter, self._writers)
                if not self._writers:
                    way.when_room(nobody)
        self.check_peer()

    def _wake_readers(self) -> None:
        waiters, self._readers = self._readers, ()
        wake(waiters)

    def _wake_writers(self) -> None:
        waiters, self._writers = self._writers, ()
        wake(waiters)

    def _wake_all(self) -> None:
        if self._readers:
            self._wake_readers()
        if self._writers:
            self._wake_writers()


class Receiving(Act):
    """One `receive()`."""

    __slots__ = ("_talk",)

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._rest = None

    def _first_step(self) -> Any:
        message = self._talk.received()
        if message is None:
            self._rest = self._talk.wait_for_message()
        return message


class Sending(Act):
    """One `send(message)`."""

    __slots__ = ("_message", "_talk")

    def __init__(self, talk: Talk, message: Message) -> None:
        self._talk = talk
        self._message = message
        self._rest = None

    def _first_step(self) -> Any:
        rest = self._talk.take(self._message)
        if rest is not None:
            self._rest = rest
