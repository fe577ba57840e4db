"""An Exchange: one request with its response, between an engine below and an interface above.

The engine subclasses it for its wire and feeds the request side; the interface pulls the request
and gives the response. All of it happens on the thread of the worker's loop. Nothing here knows
asyncio: who must wait leaves a callback, called once at the next change.

Request side, upwards                    Response side, downwards
    pull() -> part | b"" | None              inform(status, fields)        1xx
    when_readable(callback)                  start(status, fields)
    gone, when_gone(callback)                send(data, last) -> room?
                                             when_room(callback)
                                             send_file(fd, offset, count)
                                             finish(trailers), abort()
                                             tunnel(fields, make)

`start` may hold the head back until the first `send`, so that head and body leave in one write,
and so that a body given whole gets a Content-Length of its own.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from granian_d.errors import Disconnected, FlowError, InvalidResponse, RemoteError
from granian_d.http import states

if TYPE_CHECKING:
    from granian_d.errors import ProtocolViolation
    from granian_d.http.message import FieldPairs, Peer, RequestHead

Callback = Callable[[], None]

# Read from a file and written at once: large enough to amortise a turn of the loop, small enough
# not to hold it up when the disk is slow.
FILE_PART_BYTES = 128 * 1024

_NO_EXCUSE = ([(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error")


class Observer:
    """Is told what happened; counts and logs. Never raises."""

    __slots__ = ()

    def began(self, exchange: Exchange) -> None:
        """The head of a request is complete; the application is about to see it."""
        raise NotImplementedError

    def finished(self, exchange: Exchange) -> None:
        """The exchange is over: answered (`status`, `sent_bytes`) or cut."""
        raise NotImplementedError

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        """The application failed while it answered."""
        raise NotImplementedError

    def explained(self, exchange: Exchange, text: str) -> None:
        """The application says for debugging what it answers with."""
        raise NotImplementedError

    def excuse(self, exchange: Exchange) -> tuple[FieldPairs, bytes] | None:  # noqa: ARG002 - for those who say more
        """What the peer is told of a fault of the application: fields and body of the 500.

        None, as here: no more than that there is one. The fault may tell of secrets.
        """
        return None

    def refused(self, peer: Peer, violation: ProtocolViolation) -> None:
        """The engine answered by itself, because the peer broke a rule."""
        raise NotImplementedError


class Exchange:
    """One request with its response; see the head of this file for its nine operations.

    Attributes:
        head: the request's head.
        peer: the two ends of the connection.
        observer: is told when the exchange ends.
        state: of the response, a constant of `http.states`.
        status: of the response, 0 before `start`.
        received_bytes: of the request's body so far.
        sent_bytes: of the response's body so far.
        started_ns: CLOCK_MONOTONIC at the end of the request's head, in nanoseconds.
        gone: the peer has closed its sending side. It may still read (a half-closed client), so
            `send` goes on working until the connection is lost in both directions.
    """

    __slots__ = (
        "_body_error",
        "_ended",
        "_on_gone",
        "_on_readable",
        "_on_room",
        "_parts",
        "gone",
        "head",
        "observer",
        "peer",
        "received_bytes",
        "sent_bytes",
        "started_ns",
        "state",
        "status",
    )

    def __init__(self, head: RequestHead, peer: Peer, observer: Observer) -> None:
        self.head = head
        self.peer = peer
        self.observer = observer
        self.state = states.AWAITED
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.started_ns = monotonic_ns()
        self.gone = False
        self._parts: deque[bytes] | None = None  # made when the first part comes
        self._ended = False
        self._body_error: RemoteError | None = None
        self._on_readable: Callback | None = None
        self._on_room: Callback | None = None
        self._on_gone: list[Callback] | None = None

    # --- the request, pulled by the interface ---------------------------------------------

    def pull(self) -> bytes | None:
        """The next part of the body (not empty), b"" when it has ended, None to wait.

        Raises:
            Disconnected: the peer went away before the body was complete.
            ProtocolViolation: the body is malformed or too large; the engine has dealt with it.
        """
        if self._parts:
            part = self._parts.popleft()
            self._part_taken(part)
            return part
        if self._ended:
            return b""
        if self._body_error is not None:
            raise self._body_error
        if self.gone:
            raise Disconnected("the peer closed the connection before the body was complete")
        self._body_wanted()
        return None

    def when_readable(self, callback: Callback) -> None:
        """Call `callback` once when `pull` has something new to say. One waiter at a time."""
        self._on_readable = callback

    def when_gone(self, callback: Callback) -> Callback:
        """Call `callback` once when the peer goes away; at once if it is gone.

        Returns:
            A callable that takes the callback back.
        """
        if self.gone:
            callback()
            return _nothing
        if self._on_gone is None:
            self._on_gone = []
        self._on_gone.append(callback)
        return partial(self._take_back, callback)

    def _take_back(self, callback: Callback) -> None:
        if self._on_gone is not None and callback in self._on_gone:
            self._on_gone.remove(callback)

    # --- the response, given by the interface ---------------------------------------------

    def inform(self, status: int, fields: FieldPairs) -> None:
        """Send an interim (1xx) response, at the latest while the head is held back.

        Silently dropped where the peer cannot have it: by HTTP/1.0, and behind the head.
        """
        raise NotImplementedError

    def start(self, status: int, fields: FieldPairs) -> None:
        """Give the head of the response.

        Args:
            status: 200 to 999 (100 to 199 go through `inform`).
            fields: (name, value) pairs of bytes, any iterable, names in any case.

        Raises:
            InvalidResponse: status or fields must not go out; nothing was sent.
            FlowError: the response has been started already.
        """
        raise NotImplementedError

    def send(self, data: bytes, last: bool = False) -> bool:
        """Send a part of the body; with `last`, the response is finished.

        Returns:
            True when there is room for more; False to wait with `when_room` first.

        Raises:
            Disconnected: the connection is lost; the response goes nowhere.
            InvalidResponse: more bytes than the Content-Length that was given, or with `last`
                fewer. The exchange is cut, unless the head was held back: then `fail` still
                answers 500.
            FlowError: not started, or finished.
        """
        raise NotImplementedError

    def when_room(self, callback: Callback) -> None:
        """Call `callback` once when `send` has room again, or the peer is gone. One waiter."""
        self._on_room = callback

    def send_file(self, fd: int, offset: int, count: int, done: Callable[[bool], None]) -> None:
        """Send `count` bytes of a file from `offset` as the rest of the body.

        The engine may use sendfile(2); this one reads and sends under back-pressure. The caller
        closes `fd` when `done` was called, and not before: with True when the response is finished,
        with False when it was cut (peer gone, or the file was shorter than said), or when somebody
        else has ended it meanwhile.

        Raises:
            FlowError: not started, or finished; `done` is not called.
        """
        try:
            while count > 0:
                part = os.pread(fd, min(count, FILE_PART_BYTES), offset)
                if not part:
                    self.abort()
                    break
                offset += len(part)
                count -= len(part)
                room = self.send(part, last=count == 0)
                if count and not room:
                    self.when_room(partial(self._go_on_with_file, fd, offset, count, done))
                    return
            if self.state == states.STARTED:
                self.finish()
        except Disconnected:
            pass  # the state says so
        except (InvalidResponse, OSError) as error:
            # Caught here, because a later part is sent from a callback of the engine.
            self.observer.crashed(self, error)
            self.fail()
        done(self.state == states.FINISHED)

    def _go_on_with_file(
        self, fd: int, offset: int, count: int, done: Callable[[bool], None]
    ) -> None:
        if self.state == states.STARTED:
            self.send_file(fd, offset, count, done)
        else:
            done(False)

    def finish(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """End the response; trailers go out where the wire and the peer allow them.

        Raises:
            Disconnected, InvalidResponse, FlowError: as `send` with `last`.
        """
        raise NotImplementedError

    def tunnel(self, fields: FieldPairs, make: Callable[[Any], Any]) -> None:
        """Accept the other protocol that was asked for: its octets follow, both ways.

        Sends 101 with `fields` behind Connection and Upgrade (RFC 9110 7.8), or 200 where streams
        are tunnelled (RFC 8441 5). Then `make` is given the Wire of those octets, and the Endpoint
        that it returns is fed what arrives (engine.contract): all of the connection, or one stream.

        The exchange lasts as long as the tunnel: whoever speaks in it says `close_tunnel`.

        Raises:
            InvalidResponse: a field must not go out; nothing was sent.
            FlowError: a response has been started already, or no other protocol was asked for.
            Disconnected: the peer has gone.
        """
        raise NotImplementedError

    def close_tunnel(self) -> None:
        """The protocol in the tunnel has ended, well or not."""
        if self.state == states.TUNNEL:
            self.state = states.FINISHED
            self.observer.finished(self)

    def abort(self) -> None:
        """Cut the exchange so that the peer cannot take it for complete. Idempotent."""
        raise NotImplementedError

    def fail(self) -> None:
        """End the exchange after a fault of the application: a 500, or cut if its head is out.

        An engine that holds the head of a started response back may answer 500 there, too.
        """
        if self.state != states.AWAITED:
            self.abort()
            return
        fields, body = self.observer.excuse(self) or _NO_EXCUSE
        try:
            self.start(500, fields)
            self.send(body, last=True)
        except Disconnected:
            self.abort()

    # --- fed by the engine -----------------------------------------------------------------

    def feed(self, part: bytes) -> None:
        """A part of the request's body has arrived (not empty)."""
        if self._parts is None:
            self._parts = deque()
        self._parts.append(part)
        self.received_bytes += len(part)
        self._wake_reader()

    def feed_end(self) -> None:
        """The request's body is complete."""
        self._ended = True
        self._wake_reader()

    def feed_error(self, error: RemoteError) -> None:
        """The request's body will never be complete; `pull` raises `error` after what is here."""
        self._body_error = error
        self._wake_reader()

    def feed_gone(self) -> None:
        """The peer has closed its side of the connection, or all of it is lost.

        It may come twice, first for the one and then for the other: whoever has begun to wait in
        between, for room above all, has to be woken again.
        """
        self.gone = True
        waiters, self._on_gone = self._on_gone, None
        if waiters is not None:
            for callback in waiters:
                callback()
        self._wake_reader()
        self.feed_room()

    def feed_room(self) -> None:
        """The wire has room again, or never will have."""
        callback, self._on_room = self._on_room, None
        if callback is not None:
            callback()

    # --- for the engine's subclass -----------------------------------------------------------

    def _advance(self, move: str) -> None:
        """Take the step `move` of the response's table, or refuse it."""
        following = states.NEXT[self.state].get(move)
        if following is None:
            raise FlowError(f"cannot {move}: the response is {states.NAMES[self.state]}")
        self.state = following

    def _part_taken(self, part: bytes) -> None:
        """A part has left the buffer: the engine may read on."""

    def _body_wanted(self) -> None:
        """The application waits for the body: the engine may send a 100 and must read on."""

    def _wake_reader(self) -> None:
        callback, self._on_readable = self._on_readable, None
        if callback is not None:
            callback()


def _nothing() -> None:
    """Taking back a callback that has been called already."""
