"""What `receive` and `send` of a Conversation return: coroutines, written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from granian_d.interface.asgi.conversation import Conversation, Message


async def _nothing() -> None:
    pass


# The rest of what is over. A finished coroutine answers every further step as they all do.
_SPENT: Final = _nothing()
_SPENT.close()


def _raised(kind: type[BaseException], value: Any) -> BaseException:
    """The error that is meant by its class and what stands beside that."""
    if isinstance(value, kind):
        return value
    return kind() if value is None else kind(value)


class _Act:
    """What `receive` and `send` return: a coroutine, written out.

    Like one it does nothing before its first step, and everything once. Unlike one it costs no
    frame, and that first step is mostly its last.
    """

    __slots__ = ("_conversation", "_rest")

    _conversation: Conversation
    _rest: Coroutine[Any, Any, Any] | None  # what must still be waited for; None before all

    def _first_step(self) -> Any:
        """The value of the coroutine; or None, with `_rest` set if there is more to do."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # all that is used of a generator is here

    def __iter__(self) -> _Act:
        return self

    def __next__(self) -> Any:
        if self._rest is not None:
            return self._rest.send(None)
        self._rest = _SPENT
        value = self._first_step()
        if self._rest is not _SPENT:
            return self._rest.send(None)
        if value is None:
            raise StopIteration
        raise StopIteration(value)

    def send(self, value: Any) -> Any:  # noqa: ARG002 - a task sends nothing but None
        """One step."""
        return self.__next__()

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        """One step, with an error; given as to a generator, whose older form has three parts."""
        try:
            if isinstance(error, type):
                error = _raised(error, value)
            if traceback is not None:
                error = error.with_traceback(traceback)
            if self._rest is None:
                self._rest = _SPENT
                raise error
            return self._rest.throw(error)
        finally:
            error = value = None  # it holds this frame

    def close(self) -> None:
        """It will not go on."""
        if self._rest is None:
            self._rest = _SPENT
        self._rest.close()


class Receiving(_Act):
    """One `receive()`."""

    __slots__ = ()

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._rest = None

    def _first_step(self) -> Any:
        message = self._conversation.received()
        if message is None:
            self._rest = self._conversation.wait_for_message()
        return message


class Sending(_Act):
    """One `send(message)`."""

    __slots__ = ("_message",)

    def __init__(self, conversation: Conversation, message: Message) -> None:
        self._conversation = conversation
        self._message = message
        self._rest = None

    def _first_step(self) -> Any:
        rest = self._conversation.take(self._message)
        if rest is not None:
            self._rest = rest
