"""The counterpart of an interface: an Exchange in memory, and requests for it.

Nothing here is under test. The exchange keeps what the application answers and demands what the
contract in granian_d/http/exchange.py promises. Room is counted: beyond `room_bytes` of unread
body `send` returns False, until the test reads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from granian_d.errors import Disconnected, InvalidResponse
from granian_d.http import semantics, states
from granian_d.http.exchange import Exchange
from granian_d.http.message import Peer, RequestHead
from granian_d.interface.contract import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TCP = Peer(("192.0.2.7", 50123), ("192.0.2.1", 8000))
TCP6 = Peer(("2001:db8::7", 50123), ("2001:db8::1", 8443), "https")
UNIX = Peer(None, ("/run/app.sock", None))


def connected(ends: Peer) -> Peer:
    """The same ends, of another connection."""
    return Peer(ends.client, ends.server, ends.scheme, ends.tls)


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.crashes: list[BaseException] = []
        self.explanations: list[str] = []
        self.ended = 0

    def began(self, exchange: Exchange) -> None:
        raise AssertionError("told by the engine only")

    def finished(self, exchange: Exchange) -> None:
        self.ended += 1

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        self.crashes.append(error)

    def explained(self, exchange: Exchange, text: str) -> None:
        self.explanations.append(text)

    def excuse(self, exchange: Exchange) -> None:
        return None

    def refused(self, peer: Peer, violation: Any) -> None:
        raise AssertionError("told by the engine only")


def request(
    target: bytes = b"/",
    method: str = "GET",
    fields: Iterable[tuple[bytes, bytes]] = ((b"host", b"example.org"),),
    *,
    authority: bytes = b"example.org",
    version: Any = "1.1",
    content_length: int | None = 0,
) -> RequestHead:
    path, _, query = target.partition(b"?")
    return RequestHead(method, path, query, authority, version, list(fields), content_length, False)


class MemoryExchange(Exchange):
    """One request whose response is kept.

    Attributes:
        sends: the body as it was given, part by part.
        interim: (status, fields) of 1xx responses.
        fields: of the response's head, as given.
        trailers: of the response.
        lengthless: the body was not given whole, and without Content-Length.
        pulls: how often the body was asked for.
    """

    __slots__ = (
        "_given",
        "_lost",
        "_news",
        "_room_bytes",
        "_unread",
        "fields",
        "interim",
        "lengthless",
        "pulls",
        "recorder",
        "sends",
        "trailers",
        "wanted",
    )

    def __init__(
        self,
        head: RequestHead | None = None,
        body: bytes | list[bytes] | None = b"",
        *,
        peer: Peer = TCP,
        room_bytes: int = 1 << 20,
    ) -> None:
        self.recorder = Recorder()
        super().__init__(head or request(), connected(peer), self.recorder)
        self.sends: list[bytes] = []
        self.interim: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        self.fields: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.lengthless = False
        self.pulls = 0
        self.wanted = 0
        self._given: int | None = None
        self._lost = False
        self._room_bytes = room_bytes
        self._unread = 0
        self._news = asyncio.Event()
        if body is not None:
            for part in [body] if isinstance(body, bytes) else body:
                if part:
                    self.feed(part)
            self.feed_end()

    # --- what the test does ---

    def read(self) -> None:
        """The peer has read all that was sent."""
        self._unread = 0
        self.feed_room()

    def lose(self) -> None:
        """The connection is gone in both directions."""
        self._lost = True
        if self.state != states.FINISHED:
            self.state = states.ABORTED
        self.feed_gone()
        self.feed_room()
        self._news.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.sends)

    @property
    def state_name(self) -> str:
        return states.NAMES[self.state]

    @property
    def crashes(self) -> list[BaseException]:
        return self.recorder.crashes

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is asked whenever something has happened here."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def ended(self) -> None:
        await self.until(lambda: self.state >= states.FINISHED)

    # --- the request ---

    def pull(self) -> bytes | None:
        self.pulls += 1
        self._news.set()
        return super().pull()

    def _body_wanted(self) -> None:
        self.wanted += 1
        self._news.set()

    def when_readable(self, callback: Any) -> None:
        self._news.set()
        super().when_readable(callback)

    def when_room(self, callback: Any) -> None:
        self._news.set()
        super().when_room(callback)

    def when_gone(self, callback: Any) -> Any:
        self._news.set()
        return super().when_gone(callback)

    # --- the response ---

    def inform(self, status: int, fields: Any) -> None:
        self._demand("inform")
        self.interim.append((status, semantics.judge_interim(status, fields)))
        self._news.set()

    def start(self, status: int, fields: Any) -> None:
        self._demand("start")
        fields = list(fields)
        head = semantics.judge_response(status, fields)
        self._given = head.content_length
        self.fields = fields
        self.status = head.status
        self._advance("start")
        self._news.set()

    def send(self, data: bytes, last: bool = False) -> bool:
        self._demand("send")
        assert type(data) is bytes
        if semantics.has_content(self.head.method, self.status):
            self._count(len(data), last)
            self.sends.append(data)
            self.sent_bytes += len(data)
            self._unread += len(data)
        self._advance("send")
        if last:
            self._end()
        self._news.set()
        return self._unread <= self._room_bytes

    def fail(self) -> None:
        if self.state == states.STARTED and not self.sends:
            self.state = states.AWAITED  # the head is held back until the first `send`
        super().fail()

    def finish(self, trailers: Any = ()) -> None:
        self._demand("finish")
        if semantics.has_content(self.head.method, self.status):
            self._count(0, True)
        self.trailers = semantics.judge_trailers(trailers)
        self._end()

    def abort(self) -> None:
        if self.state in (states.FINISHED, states.ABORTED):
            return
        self._advance("abort")
        self.recorder.ended += 1
        self.lose()

    def _end(self) -> None:
        self._advance("finish")
        self.recorder.ended += 1
        if not self._ended:
            self.feed_error(Disconnected("the request has been answered"))
        self._news.set()

    def _demand(self, move: str) -> None:
        if self._lost or self.state == states.ABORTED:
            raise Disconnected("the connection is closed")
        if move not in states.NEXT[self.state]:
            self._advance(move)

    def _count(self, count: int, last: bool) -> None:
        total = self.sent_bytes + count
        if self._given is None:
            self.lengthless = self.lengthless or not (last and not self.sends)
        elif total > self._given or (last and total < self._given):
            if self.sends:
                self.abort()
            raise InvalidResponse("a body of another length than Content-Length")


def context(loop: asyncio.AbstractEventLoop, **changes: Any) -> Context:
    facts: dict[str, Any] = {
        "loop": loop,
        "root_path": "",
        "multiprocess": False,
        "blocking_threads": 4,
        "blocking_threads_idle_timeout_s": 30.0,
    }
    return Context(**(facts | changes))
