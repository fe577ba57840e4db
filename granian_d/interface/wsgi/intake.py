"""The request's body on its way into a thread.

A thread costs more than a buffer, so the beginning of a body is collected before one is taken: a
small body is read from memory, however slowly it came. The rest of a larger one is pulled over as
the application reads, so that a slow application slows its client down, not our memory.

    loop     Intake.collect:  exchange.pull -> parts      -> begin(BytesIO), whole
                                               too many   -> begin(BodyStream)
             BodyStream.pump: exchange.pull -> parts
    thread   BodyStream.readinto <- parts
"""

from __future__ import annotations

import io
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, RemoteError
from granian_d.interface.departure import forget_frames
from granian_d.interface.wsgi.crossing import post
from granian_d.interface.wsgi.ends import give_up

if TYPE_CHECKING:
    import asyncio

    from granian_d.http.exchange import Exchange
    from granian_d.interface.wsgi.application import WsgiApplication

COLLECT_BYTES: Final = 64 * 1024  # held for one request before, and while, it has a thread
_COLLECT_BYTES: Final = COLLECT_BYTES  # typed in the compiled form
RESUME_BYTES: Final = COLLECT_BYTES // 2  # below this, more is pulled


class _NoBody(io.BufferedIOBase):
    """The wsgi.input of every request that has no body: it has no state, so one is enough."""

    def readable(self) -> bool:
        """See io.IOBase."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002 - as in io
        """See io.BufferedIOBase."""
        return b""

    read1 = read

    def readline(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002 - as in io
        """See io.IOBase."""
        return b""

    def readinto(self, buffer: Any, /) -> int:  # noqa: ARG002 - as in io
        """See io.BufferedIOBase."""
        return 0

    readinto1 = readinto

    def close(self) -> None:
        """Nothing: it is another request's, too."""


NO_BODY: Final = _NoBody()


class Intake:
    """Collects the beginning of a body on the loop, then hands the request on."""

    __slots__ = ("_exchange", "_held_bytes", "_loop", "_owner", "_parts")

    def __init__(
        self, exchange: Exchange, owner: WsgiApplication, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._exchange = exchange
        self._owner = owner
        self._loop = loop
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def collect(self) -> None:
        """Pull what is there; begin when that is all, or enough."""
        exchange = self._exchange
        while True:
            try:
                part = exchange.pull()
            except RemoteError as error:
                give_up(exchange, error)
                return
            if part is None:
                exchange.when_readable(self.collect)
                return
            if not part:
                self._owner.begin(exchange, io.BytesIO(b"".join(self._parts)), True)
                return
            self._parts.append(part)
            self._held_bytes += len(part)
            if self._held_bytes > _COLLECT_BYTES:
                stream = BodyStream(exchange, self._loop, self._parts)
                self._owner.begin(exchange, io.BufferedReader(stream, COLLECT_BYTES), False)
                return


class BodyStream(io.RawIOBase):
    """The body of one request as a raw stream, for an io.BufferedReader to read from.

    What lines are, and how reads of all kinds mix, is the business of the io module.
    """

    def __init__(
        self, exchange: Exchange, loop: asyncio.AbstractEventLoop, parts: list[bytes]
    ) -> None:
        super().__init__()
        self._exchange = exchange  # for the loop's thread
        self._loop = loop
        self._changed = threading.Condition(threading.Lock())  # over everything below
        self._parts = deque(memoryview(part) for part in parts)
        self._held_bytes = sum(len(part) for part in parts)
        self._pumping = False
        self._ended = False
        self._fault: RemoteError | None = None

    # --- on the loop -------------------------------------------------------------------------

    def pump(self) -> None:
        """Pull parts until enough of them are held."""
        while True:
            with self._changed:
                if self.closed or self._held_bytes > COLLECT_BYTES:
                    self._pumping = False
                    return
            part, fault = b"", None
            try:
                pulled = self._exchange.pull()
            except RemoteError as error:
                forget_frames(error)
                fault = error
            else:
                if pulled is None:
                    self._exchange.when_readable(self.pump)
                    return
                part = pulled
            with self._changed:
                self._fault = fault
                if part:
                    self._parts.append(memoryview(part))
                    self._held_bytes += len(part)
                else:
                    self._ended = True
                self._changed.notify()
                if self._ended:
                    return

    # --- in the thread -----------------------------------------------------------------------

    def readable(self) -> bool:
        """It is, and it is nothing else."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from what has arrived, waiting only while that is nothing.

        Raises:
            Disconnected: the body will never be complete.
        """
        with self._changed:
            self._await_part()
            if not self._parts:
                return 0
            part = self._parts.popleft()
            taken = part[: len(buffer)]
            if len(taken) < len(part):
                self._parts.appendleft(part[len(taken) :])
            self._held_bytes -= len(taken)
            self._resume()
        with memoryview(buffer) as target:
            target[: len(taken)] = taken
        return len(taken)

    def readall(self) -> bytes:
        """All that is left."""
        parts: list[memoryview] = []
        while True:
            with self._changed:
                self._await_part()
                if not self._parts:
                    return b"".join(parts)
                parts.extend(self._parts)
                self._parts.clear()
                self._held_bytes = 0

    def close(self) -> None:
        """The request is over: nothing more is pulled for it, and nothing can be read."""
        with self._changed:
            self._parts.clear()
            super().close()

    def _await_part(self) -> None:
        """Wait until a part is held or none will come; has the lock."""
        self._resume()
        while not self._parts and not self._ended:
            self._changed.wait()
        if not self._parts and self._fault is not None:
            raise Disconnected("the request's body will never be complete") from self._fault

    def _resume(self) -> None:
        """Have more pulled when little is left; has the lock."""
        if self._held_bytes < RESUME_BYTES and not self._pumping and not self._ended:
            self._pumping = True
            post(self._loop, self.pump)
