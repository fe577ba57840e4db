"""The counterpart of an endpoint: a wire that remembers, a clock by hand, scripted applications.

Nothing here is under test. An application is a generator function over an Exchange; where it
would wait it yields the method that registers a waiter:

    def app(exchange):
        body = yield from read_all(exchange)
        exchange.start(200, [])
        if not exchange.send(body):
            yield exchange.when_room
        exchange.finish()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granian_d.engine.choose import choose, is_compiled
from granian_d.engine.contract import Clock
from granian_d.errors import ApplicationError, RemoteError
from granian_d.http.exchange import Observer
from granian_d.http.message import Peer
from granian_d.plan import Limits
from tests.unit.plan.specimens import HTTP2

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from granian_d.engine.contract import Endpoint, EndpointMaker
    from granian_d.http.exchange import Exchange

    App = Callable[[Exchange], Generator[Any, None, None]]

# Every test of the wire runs on all of them.
ENGINES: dict[str, EndpointMaker] = {
    name: choose(name) for name in ("pure", "native") if name == "pure" or is_compiled()
}

LIMITS = {
    "head_bytes": 16384,
    "head_fields": 100,
    "body_bytes": 0,
    "head_timeout_s": 10.0,
    "idle_timeout_s": 30.0,
    "body_timeout_s": 20.0,
    "write_timeout_s": 40.0,
    "keep_alive": True,
    "h2c": False,
    "http2": HTTP2,
    "http3": None,
    "alt_svc": "",
    "websocket": None,
}

OPEN, FINISHED, RESET = "stays", "closes", "resets"


class FakeWire:
    """Remembers what it was asked for. The peer takes everything at once unless told otherwise."""

    def __init__(self, high_water: int | None = None) -> None:
        self.writes: list[bytes] = []
        self.switched: list[Endpoint] = []
        self.fate = OPEN
        self.paused = False
        self.high_water = high_water
        self.size = 0
        self.taken = 0

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes) -> bool:
        assert self.fate == OPEN, "written after the end"
        assert isinstance(data, bytes)
        assert data
        self.writes.append(data)
        self.size += len(data)
        return self.high_water is None or self.queued_bytes() <= self.high_water

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def queued_bytes(self) -> int:
        return self.size - self.taken if self.high_water is not None else 0

    def switch(self, endpoint: Endpoint) -> None:
        self.switched.append(endpoint)

    def finish(self) -> None:
        self._end(FINISHED)

    def abort(self) -> None:
        self._end(RESET)

    def _end(self, fate: str) -> None:
        assert self.fate == OPEN, "ended twice"
        self.fate = fate


class Record(Observer):
    """An observer that remembers; the exchanges in the order in which they began."""

    def __init__(self) -> None:
        self.begun: list[Exchange] = []
        self.over: list[Exchange] = []
        self.faults: list[BaseException] = []
        self.refusals: list[Any] = []

    def began(self, exchange: Exchange) -> None:
        self.begun.append(exchange)

    def finished(self, exchange: Exchange) -> None:
        assert exchange in self.begun
        assert exchange not in self.over, "finished twice"
        self.over.append(exchange)

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        self.faults.append(error)

    def explained(self, exchange: Exchange, text: str) -> None:
        raise AssertionError("told by an interface only")

    def refused(self, peer: Peer, violation: Any) -> None:
        self.refusals.append(violation)


class Run:
    """One application call on its way, as an interface would drive it."""

    def __init__(self, exchange: Exchange, script: Generator[Any, None, None]) -> None:
        self._exchange = exchange
        self._script = script
        self.done = False
        self._stepping = False
        self._woken = False

    def step(self) -> None:
        if self._stepping:  # a waiter that is called while the script runs
            self._woken = True
            return
        self._stepping = True
        try:
            while not self.done:
                self._woken = False
                wait = next(self._script)
                wait(self.step)
                if not self._woken:
                    return
        except StopIteration:
            self.done = True
            if self._exchange.state < 2:
                self._exchange.fail()
        except ApplicationError as error:
            self.done = True
            self._exchange.observer.crashed(self._exchange, error)
            self._exchange.fail()
        except RemoteError:
            self.done = True
        finally:
            self._stepping = False


class Scripted:
    """A service whose exchanges are answered by a script."""

    def __init__(self, app: App, record: Record | None = None) -> None:
        self.observer = record or Record()
        self.app = app
        self.runs: list[Run] = []

    def serve(self, exchange: Exchange) -> None:
        run = Run(exchange, self.app(exchange))
        self.runs.append(run)
        run.step()


class Line:
    """One endpoint with all its counterparts, played from the side of the peer."""

    def __init__(
        self,
        engine: EndpointMaker,
        app: App,
        *,
        scheme: str = "http",
        high_water: int | None = None,
        record: Record | None = None,
        **limits: Any,
    ) -> None:
        assert set(limits) <= set(LIMITS)
        self.clock = Clock(1000.0)
        self.wire = FakeWire(high_water)
        self.service = Scripted(app, record)
        self.record = self.service.observer
        self.peer = Peer(("192.0.2.1", 4321), ("192.0.2.2", 80), scheme)
        self._first = engine(
            self.wire, self.peer, self.service, Limits(**{**LIMITS, **limits}), self.clock
        )

    @property
    def endpoint(self) -> Endpoint:
        """The one that is fed at the moment."""
        return self.wire.switched[-1] if self.wire.switched else self._first

    def feed(self, *pieces: bytes) -> Line:
        """What the peer sends; nothing arrives once the wire is closed."""
        for piece in pieces:
            if piece and self.wire.fate == OPEN:
                self.endpoint.feed_data(piece)
        return self

    def eof(self) -> Line:
        if self.wire.fate == OPEN:
            self.endpoint.feed_eof()
        return self

    def lost(self) -> Line:
        self.endpoint.feed_lost()
        return self

    def take(self, count: int) -> Line:
        """The peer reads; the queue's low-water mark is half of the high one."""
        assert self.wire.high_water is not None
        full = self.wire.queued_bytes() > self.wire.high_water
        self.wire.taken = min(self.wire.taken + count, self.wire.size)
        if full and self.wire.queued_bytes() <= self.wire.high_water // 2:
            self.endpoint.feed_room()
        return self

    def wait(self, seconds: float) -> Line:
        """Time passes, in quarters of a second, as with the transport's coarse timer."""
        for _ in range(round(seconds * 4)):
            self.clock.now += 0.25
            if self.wire.fate == OPEN and self.endpoint.deadline <= self.clock.now:
                self.endpoint.expire()
        return self

    @property
    def sent(self) -> bytes:
        return self.wire.sent

    @property
    def fate(self) -> str:
        return self.wire.fate


def read_all(exchange: Exchange) -> Generator[Any, None, bytes]:
    """Pull the whole body."""
    parts = []
    while (part := exchange.pull()) != b"":
        if part is None:
            yield exchange.when_readable
        else:
            parts.append(part)
    return b"".join(parts)


def answer_ok(exchange: Exchange) -> Generator[Any, None, None]:
    """Read everything, then answer "ok"."""
    yield from read_all(exchange)
    exchange.start(200, [])
    exchange.send(b"ok", last=True)


def request(
    method: str = "GET", path: str = "/", fields: Iterable[str] = (), body: bytes = b""
) -> bytes:
    """A request of good form."""
    lines = [f"{method} {path} HTTP/1.1", "Host: example.org", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
