"""The lifespan protocol (ASGI lifespan 2.0): one call of the application around all others.

An application that does not know the protocol shows it by raising (or returning) before it has
answered the startup. It is served all the same, and told nothing at shutdown.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import FlowError, StartupError

if TYPE_CHECKING:
    from granian_d.interface.contract import Application

Message = dict[str, Any]

# Who is told to start: an `exit` there is a refusal, not a sign that the protocol is unknown.
_REFUSALS = (SystemExit, KeyboardInterrupt)

_ANSWERS: Final = {
    "startup": ("lifespan.startup.complete", "lifespan.startup.failed"),
    "shutdown": ("lifespan.shutdown.complete", "lifespan.shutdown.failed"),
}


class Lifespan:
    """The long call. `startup` and `shutdown` are called once each, in this order.

    Args:
        app: the application.
        loop: the worker's event loop.
        state: what the application fills for its requests.
        notes: takes one line for each oddity that does not stop the worker.
    """

    __slots__ = (
        "_answer",
        "_answered",
        "_app",
        "_error",
        "_events",
        "_loop",
        "_moment",
        "_notes",
        "_state",
        "_stopping",
        "_task",
    )

    def __init__(
        self,
        app: Application,
        loop: asyncio.AbstractEventLoop,
        state: dict[str, Any],
        notes: list[str],
    ) -> None:
        self._app = app
        self._loop = loop
        self._state = state
        self._notes = notes
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._moment = ""  # "startup" or "shutdown", once it has been sent and until it is answered
        self._answer: asyncio.Future[Message | None] | None = None
        self._answered = False  # the startup, with success
        self._stopping = False  # the last event is out
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Tell the application to start, and wait for its answer.

        Raises:
            StartupError: it answered that it failed, or exited.
        """
        self._task = asyncio.Task(self._run(), loop=self._loop)
        answer = await self._ask("startup")
        if answer is not None:
            if answer["type"].endswith(".failed"):
                why = _reason(answer, "it does not say why")
                raise StartupError(f"ASGI lifespan startup failed: {why}")
            self._answered = True
            return
        if isinstance(self._error, _REFUSALS):
            raise StartupError(f"the application exited in its startup: {self._error!r}")
        self._notes.append(
            "ASGI Lifespan errored, continuing without Lifespan support"
            f" ({self._end()} before its startup was answered)"
        )

    async def shutdown(self) -> None:
        """Tell the application to stop, and wait for its answer and its end."""
        task = self._task
        if task is None or not self._answered:
            return
        if task.done():
            self._notes.append(f"no lifespan shutdown: {self._end()} while it was serving")
            return
        answer = await self._ask("shutdown")
        await asyncio.wait([task])
        if answer is not None and answer["type"].endswith(".failed"):
            self._notes.append(_reason(answer, "the application's shutdown failed"))
        elif self._error is not None:
            self._notes.append(f"lifespan shutdown: {self._end()}")

    async def _ask(self, moment: str) -> Message | None:
        """Send an event; the application's answer, None when its call ended without one."""
        self._moment = moment
        self._answer = self._loop.create_future()
        self._events.put_nowait(f"lifespan.{moment}")
        return await self._answer

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except GeneratorExit:  # the task is being destroyed, not run
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it must not end the loop
            if not (self._stopping and isinstance(error, asyncio.CancelledError)):
                self._error = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    async def _receive(self) -> Message:
        if self._stopping and self._task is not None:
            # An application that loops over its events for ever: there will be none.
            self._task.cancel()
        event = await self._events.get()
        self._stopping = event == "lifespan.shutdown"
        return {"type": event}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        expected = _ANSWERS.get(self._moment, ())
        if kind not in expected or self._answer is None or self._answer.done():
            raise FlowError(f"{kind!r} has no meaning now in the lifespan of an application")
        self._answer.set_result(message)

    def _end(self) -> str:
        return "the application " + (
            "returned" if self._error is None else f"raised {self._error!r}"
        )


def _reason(answer: Message, otherwise: str) -> str:
    return str(answer.get("message") or otherwise)
