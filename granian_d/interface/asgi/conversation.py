"""One HTTP request in ASGI's terms: `receive` and `send` over an Exchange.

Rules of this file:
- Who may wait, and for what, is `talk.Talk`'s.
- The order of messages is a table, MOMENTS: the phases in which each means something.
- The Exchange is touched on the loop's thread alone, as everywhere in this package.

    phase     HEAD --start--> BODY --body, the last--> DONE
                                |--zerocopysend, not the last--> PART --sent--> BODY
                                |--pathsend, zerocopysend--> FILE --all sent--> DONE
                                '--body, the last, trailers announced--> TRAILERS --> DONE

The engine may end an exchange too (the peer is lost, a timeout, a malformed body). Its state is
then ahead of the phase, and what the application still sends is Disconnected, not its fault.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import Disconnected, FlowError, InvalidResponse, RemoteError
from granian_d.http import states
from granian_d.http.exchange import FILE_PART_BYTES
from granian_d.http.semantics import has_content
from granian_d.interface.acts import nobody
from granian_d.interface.asgi.messages import as_bytes, as_fields, as_status, look_up
from granian_d.interface.asgi.talk import Talk
from granian_d.interface.departure import forget_frames, is_departure
from granian_d.interface.fields import declared_length, is_event_stream
from granian_d.interface.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields
    from granian_d.interface.asgi.scope import Scope
    from granian_d.interface.asgi.talk import Message
    from granian_d.interface.calls import Calls
    from granian_d.interface.contract import Application
    from granian_d.interface.files import OpenFile

_NONE: Fields = []  # never changed

# States of the Exchange, and the phases above. Typed in the compiled form.
_AWAITED: Final = states.AWAITED
_STARTED: Final = states.STARTED
_FINISHED: Final = states.FINISHED
_ABORTED: Final = states.ABORTED

HEAD: Final = 0
BODY: Final = 1
FILE: Final = 2
TRAILERS: Final = 3
DONE: Final = 4
PART: Final = 5

PHASES: Final = {
    HEAD: "the response has not been started",
    BODY: "the response has been started",
    FILE: "a file is being sent as the rest of the body",
    PART: "a part of a file is being sent",
    TRAILERS: "the body is complete and trailers are awaited",
    DONE: "the response is complete",
}

MOMENTS: Final = {
    "http.response.debug": (HEAD,),
    "http.response.early_hint": (HEAD, BODY),  # behind a head that has gone out it is dropped
    "http.response.start": (HEAD,),
    "http.response.body": (BODY,),
    "http.response.pathsend": (BODY,),
    "http.response.zerocopysend": (BODY,),
    "http.response.trailers": (TRAILERS,),
}

OPEN_FILE: Final = "granian_d.interface.asgi.open_file"  # who sends none has no memory for it
DEBUGGING: Final = "granian_d.interface.asgi.debugging"


class Conversation(Talk):
    """One call of the application for one Exchange."""

    __slots__ = (
        "_announced",
        "_app",
        "_broken",
        "_exchange",
        "_fields",
        "_file",
        "_forget_gone",
        "_phase",
        "_request_over",
        "_scope",
        "_trailers",
    )

    def prepare(self, app: Application, scope: Scope, exchange: Exchange, calls: Calls) -> None:
        """Be the call of `app`: a constructor that C can call (see `new_conversation`)."""
        self.task = None
        self.given_up = False
        self._app = app
        self._scope = scope
        self._exchange = exchange
        self._calls = calls
        self._phase = HEAD
        self._request_over = False  # the last http.request has been received
        self._broken = False  # the rest of the request's body will never come
        self._announced = False  # trailers will follow the body
        self._fields: Fields = _NONE
        self._trailers: Fields = _NONE
        self._file: OpenFile | None = None  # while it is being sent
        self._readers = ()
        self._writers = ()
        self._forget_gone: Callable[[], object] | None = None

    # --- the call ----------------------------------------------------------------------------

    def begin(self) -> Awaitable[Any]:
        """See Call."""
        awaitable: Awaitable[Any] = self._app(self._scope, self.receive, self.send)
        return awaitable

    def returned(self) -> None:
        """See Call: end the exchange if the application has not."""
        if self._phase != DONE and self._phase != FILE:  # noqa: PLR1714 - integers in C
            self._returned_early()
        self._forget()

    def raised(self, error: BaseException) -> None:
        """See Call: end the exchange as what came out of the application demands."""
        exchange = self._exchange
        given_up = self._calls.closing or self.given_up
        ours = given_up and isinstance(error, asyncio.CancelledError)
        if ours or is_departure(error):
            if self._phase != DONE:
                exchange.abort()
        else:
            exchange.observer.crashed(exchange, error)
            if self._phase != DONE:
                exchange.fail()
        self._over()
        self._forget()

    def answers(self, exchange: Exchange) -> bool:
        """See Call."""
        return self._exchange is exchange

    def _returned_early(self) -> None:
        exchange = self._exchange
        if exchange.gone or self._broken or self._ended_below():
            exchange.abort()
        else:
            when = PHASES[self._phase]
            error = FlowError(f"the application returned before the end of its response: {when}")
            exchange.observer.crashed(exchange, error)
            exchange.fail()
        self._over()

    def _forget(self) -> None:
        if self._forget_gone is not None:
            self._forget_gone()
            self._forget_gone = None  # it holds us: what is left must not wait for the collector

    # --- receive -----------------------------------------------------------------------------

    def received(self) -> Message | None:
        """See Talk: the body, as it has come; after its last part the end."""
        if not self._request_over:
            message = self._request_message()
            if message is not None:
                return message
            over = self._phase == DONE or self._ended_below()
        else:
            over = self._broken or self._exchange.gone or self._phase == DONE
            over = over or self._ended_below()
        return {"type": "http.disconnect"} if over else None

    def watch(self) -> None:
        """See Talk."""
        if not self._request_over:
            self._exchange.when_readable(self._wake_readers)
        elif self._forget_gone is None:
            self._forget_gone = self._exchange.when_gone(self._wake_readers)

    def unwatch(self) -> None:
        """See Talk."""
        self._exchange.when_readable(nobody)

    def _request_message(self) -> Message | None:
        """What has arrived of the body, in one message; None to wait for more."""
        try:
            part = self._exchange.pull()
        except RemoteError as error:
            forget_frames(error)
            self._request_over = self._broken = True
            return {"type": "http.disconnect"}
        if part is None:
            return None
        if part:
            part = self._with_following(part)
        else:
            self._request_over = True
        return {"type": "http.request", "body": part, "more_body": not self._request_over}

    def _with_following(self, part: bytes) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                following = self._exchange.pull()
            except RemoteError as error:  # the next pull says so again
                forget_frames(error)
                break
            if following is None:
                break
            if not following:
                self._request_over = True
                break
            parts.append(following)
        return b"".join((part, *parts)) if parts else part

    # --- send --------------------------------------------------------------------------------

    def take(self, message: Message) -> Coroutine[Any, Any, None] | None:
        """See Talk."""
        kind = message["type"]
        if kind == "http.response.body":
            return None if self._take_body(message) else self.wait_for_room(self._exchange)
        if kind == "http.response.start":
            self._take_start(message)
        elif kind == "http.response.pathsend":
            return self._send_path(message)
        elif kind == "http.response.zerocopysend":
            return self._send_open_file(message)
        elif kind == "http.response.trailers":
            self._take_trailers(message)
        elif kind == "http.response.early_hint":
            self._check(kind)
            links = [(b"link", as_bytes(link, "a link")) for link in message.get("links", ())]
            self._exchange.inform(103, links)
        elif kind == "http.response.debug" and kind in self._scope["extensions"]:
            self._check(kind)
            self._exchange.observer.explained(
                self._exchange, import_module(DEBUGGING).shown(message)
            )
        else:
            raise FlowError(f"no message of an HTTP response is called {kind!r}")
        return None

    def _take_start(self, message: Message) -> None:
        exchange = self._exchange
        if self._phase != HEAD or exchange.state != _AWAITED:
            self._check("http.response.start")
        fields = as_fields(look_up(message, "headers", ()))
        exchange.start(as_status(message), fields)
        self._fields = fields
        self._announced = bool(look_up(message, "trailers", False))
        self._phase = BODY
        if is_event_stream(fields):
            exchange.send(b"")

    def _take_body(self, message: Message) -> bool:
        """Whether there is room for more, or nothing more to come."""
        exchange = self._exchange
        if self._phase != BODY or exchange.state != _STARTED:
            self._check("http.response.body")
        body = look_up(message, "body", b"")
        if type(body) is not bytes:
            body = as_bytes(body, "a body")
        if look_up(message, "more_body", False):
            return exchange.send(body)
        if self._announced:
            exchange.send(body)
            self._phase = TRAILERS
            return True
        exchange.send(body, True)
        self._over()
        return True

    def _take_trailers(self, message: Message) -> None:
        self._check("http.response.trailers")
        self._trailers = self._trailers + as_fields(message.get("headers", ()))
        if not message.get("more_trailers", False):
            self._exchange.finish(self._trailers)
            self._over()

    async def _send_path(self, message: Message) -> None:
        self._check("http.response.pathsend")
        # The head may have gone out already, so what it says holds even when the file has grown
        # since the application looked; one that has shrunk is cut.
        declared = declared_length(self._fields)
        try:
            file = open_regular(message["path"])
        except (OSError, ValueError) as error:
            # An OSError out of `send` would say that the peer has gone.
            raise InvalidResponse(f"cannot send a file: {error}") from error
        await self._send_rest(file, 0, file.size_bytes if declared is None else declared)

    async def _send_open_file(self, message: Message) -> None:
        self._check("http.response.zerocopysend")
        span = import_module(OPEN_FILE).span_of(message)
        more = bool(message.get("more_body", False))
        if not more and not self._announced:
            await self._send_rest(span.file, span.offset, span.length)
            return
        self._phase = PART
        try:
            await self._send_part(span.file, span.offset, span.length)
        finally:
            span.file.close()
            if self._phase == PART:
                self._phase = BODY if more else TRAILERS

    async def _send_part(self, file: OpenFile, offset: int, count: int) -> None:
        """Send a part of a file by copying it: more of the body follows."""
        exchange = self._exchange
        if not has_content(exchange.head.method, exchange.status):
            return
        while count > 0:
            part = file.read(offset, min(count, FILE_PART_BYTES))
            if not part:
                raise InvalidResponse("the file has become shorter while it was sent")
            offset += len(part)
            count -= len(part)
            if not exchange.send(part):
                await self.wait_for_room(exchange)

    async def _send_rest(self, file: OpenFile, offset: int, count: int) -> None:
        """Send a file, which is closed then, as the rest of the body."""
        exchange = self._exchange
        self._file = file
        self._phase = FILE
        exchange.send_file(file.fd, offset, count, self._file_done)
        if self._file is not None:
            waiter = self._calls.loop.create_future()
            self._writers += (waiter,)
            await waiter
        if exchange.state != _FINISHED:
            if file.size_bytes < offset + count:
                raise InvalidResponse("the file is shorter than its Content-Length")
            raise Disconnected("the peer has gone")

    def _file_done(self, complete: bool) -> None:
        file, self._file = self._file, None
        if file is not None:
            if not complete:
                file.look()  # has it become shorter, or has the peer gone?
            file.close()
        self._over()

    def _check(self, kind: str) -> None:
        """Refuse a message that has no meaning now."""
        if self._ended_below():
            raise Disconnected("the peer has gone")
        if self._phase not in MOMENTS[kind]:
            raise FlowError(f"{kind} has no meaning now: {PHASES[self._phase]}")

    # --- the end -----------------------------------------------------------------------------

    def check_peer(self) -> None:
        """See Talk."""
        if self._exchange.state == _ABORTED:
            raise Disconnected("the peer has gone")

    def _over(self) -> None:
        self._phase = DONE
        self._wake_all()

    def _ended_below(self) -> bool:
        """Whether the exchange has ended without our doing."""
        return self._phase != DONE and self._exchange.state >= _FINISHED


def new_conversation(
    app: Application, scope: Scope, exchange: Exchange, calls: Calls
) -> Conversation:
    """The call of `app` for `exchange`."""
    conversation = Conversation.__new__(Conversation)
    conversation.prepare(app, scope, exchange, calls)
    return conversation
