"""The way of a response from the thread that makes it to the loop that sends it.

The thread puts parts here; the loop takes them as the Exchange has room. Between them at most
HELD_BYTES wait: then the thread does. Nothing else of the two sides is shared, and the Exchange
is touched by the loop's side alone.

A thread waits for room only before its next part. With the last one it is free, whatever the
peer's speed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected
from granian_d.http import states
from granian_d.interface.wsgi.ends import crashed, refused
from granian_d.interface.wsgi.file_wrapper import FileSending

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields
    from granian_d.interface.wsgi.file_wrapper import FilePart

HELD_BYTES: Final = 64 * 1024

_AWAITED: Final = states.AWAITED  # typed in the compiled form


class Crossing:
    """One response on its way.

    Args:
        exchange: whose response it is.
        loop: on whose thread the exchange lives.
    """

    __slots__ = (
        "_changed",
        "_exchange",
        "_fault",
        "_fields",
        "_held_bytes",
        "_last",
        "_loop",
        "_parts",
        "_posted",
        "_status",
        "_taken_bytes",
    )

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self._status = 0
        self._fields: Fields = []
        self._changed: threading.Condition | None = None  # over the five below
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._last = False
        self._posted = False  # the loop knows that there are parts
        self._fault: BaseException | None = None  # why nothing more goes out
        self._taken_bytes = 0  # of the loop: sent, but without room behind it

    # --- in the thread -----------------------------------------------------------------------

    def start(self, status: int, fields: Fields) -> None:
        """Put the head: it goes out with the first part."""
        self._status = status
        self._fields = fields

    def put(self, part: bytes, last: bool) -> None:
        """Put a part of the body; waits while too much is on its way.

        Raises:
            Disconnected: it would go nowhere: the peer has gone, or the response was cut because
                of what was put before.
        """
        if self._changed is None:
            if last:  # head and body in one: the common case, without a lock
                post(self._loop, self._send_whole, part)
                return
            self._changed = threading.Condition(threading.Lock())
        with self._changed:
            while self._held_bytes >= HELD_BYTES and self._fault is None:
                self._changed.wait()
            if self._fault is not None:
                # A new one each time: kept here, it would hold the application's frames.
                raise Disconnected("nothing more of the response goes out") from self._fault
            self._parts.append(part)
            self._held_bytes += len(part)
            self._last = last
            if self._posted:
                return
            self._posted = True
        post(self._loop, self._drain)

    def put_file(self, part: FilePart) -> None:
        """Put the rest of the body, from a file that is closed once it was sent.

        Raises:
            Disconnected: it would go nowhere; the file is still the caller's.
        """
        post(self._loop, self._send_file, part)

    def crash(self, error: BaseException) -> None:
        """End the exchange because of `error`, which came out of the application."""
        post(self._loop, self._crashed, error)

    # --- on the loop -------------------------------------------------------------------------

    def _send_whole(self, body: bytes) -> None:
        try:
            self._open()
            self._exchange.send(body, True)
        except Exception as error:  # noqa: BLE001 - judged in `refused`
            self._refused(error)

    def _drain(self) -> None:
        """Send what is held until there is no room, or nothing left."""
        changed = self._changed
        assert changed is not None
        while True:
            with changed:
                self._held_bytes -= self._taken_bytes
                self._taken_bytes = 0
                changed.notify()
                parts, self._parts = self._parts, []
                last = self._last
                if not parts:
                    self._posted = False
                    return
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            try:
                self._open()
                room = self._exchange.send(data, last)
            except Exception as error:  # noqa: BLE001 - judged in `refused`
                self._refused(error)
                return
            if last:
                return
            self._taken_bytes = len(data)
            if not room:
                self._exchange.when_room(self._drain)
                return

    def _open(self) -> None:
        if self._exchange.state == _AWAITED:
            self._exchange.start(self._status, self._fields)

    def _send_file(self, part: FilePart) -> None:
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - judged in `refused`
            part.file.close()
            refused(self._exchange, error)
            return
        FileSending(self._exchange, part).begin()

    def _refused(self, error: Exception) -> None:
        self._stop(error)
        refused(self._exchange, error)

    def _crashed(self, error: BaseException) -> None:
        self._stop(Disconnected("the response was given up"))
        crashed(self._exchange, error)

    def _stop(self, fault: BaseException) -> None:
        """Take no more; a waiting thread is told why."""
        self._fault = fault
        if self._changed is not None:
            with self._changed:
                self._parts.clear()
                self._changed.notify()


def post(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """Have `callback` called on the loop's thread.

    Raises:
        Disconnected: the loop is closed, and all connections with it.
    """
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        raise Disconnected("the worker has stopped") from None
