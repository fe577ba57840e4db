"""Halls and clients of QUIC in memory, on a network whose time, losses and order are ours.

The clients are aioquic's own. Nothing here is under test.
"""

from __future__ import annotations

import ssl
from functools import cache
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived

from granian_d.engine.contract import NEVER, Clock
from granian_d.engine.datagrams import Credentials, Path, QuicTerms
from granian_d.engine.pure.quic.hall import QuicHall
from tests.certificates import Authority
from tests.unit.plan.specimens import HTTP3, limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.datagrams import Link

KEY = bytes(range(32))
TICKET_KEYS = bytes(80)
DELAY_S = 0.01


@cache
def authority() -> Authority:
    return Authority()


@cache
def pair(*names: str, kind: str = "ec") -> tuple[bytes, bytes, str]:
    issued = authority().issue(*names, kind=kind)
    return issued.pem, issued.key_pem, ""


def credentials(*pairs: tuple[bytes, bytes, str], keys: bytes = TICKET_KEYS, lifetime_s=3600.0):
    return Credentials(pairs or (pair("example.org"),), keys, lifetime_s)


class Echo:
    """Speaks on a link: gives back what comes, and remembers what it was fed."""

    def __init__(self, link: Link, *_: Any) -> None:
        self.link: Any = link
        self.deadline = NEVER
        self.fed: list[tuple[Any, ...]] = []
        self.left: Any = None
        self.exchanges: list[Any] = []
        self.echoes = True
        self.consumes = True

    def feed_stream(self, stream_id: int, data: bytes, ended: bool) -> None:
        self.fed.append(("stream", stream_id, data, ended, self.link.is_early(stream_id)))
        if self.consumes:
            self.link.consumed(stream_id, len(data))
        if self.echoes and stream_id % 4 == 0:
            self.link.send(stream_id, data, ended)

    def feed_reset(self, stream_id: int, code: int) -> None:
        self.fed.append(("reset", stream_id, code))

    def feed_stop(self, stream_id: int, code: int) -> None:
        self.fed.append(("stop", stream_id, code))

    def feed_established(self) -> None:
        self.fed.append(("established",))

    def feed_room(self) -> None:
        pass

    def feed_lost(self) -> None:
        self.fed.append(("lost",))

    def expire(self) -> None:
        self.fed.append(("expire",))

    def drain(self, leave: Any) -> None:
        self.left = leave

    def under_way(self, found: list[Any]) -> None:
        found.extend(self.exchanges)

    def reset(self, exchange: Any) -> None:
        self.fed.append(("cut", exchange))

    def octets(self, stream_id: int) -> bytes:
        return b"".join(one[2] for one in self.fed if one[:2] == ("stream", stream_id))


class Server:
    """A hall, and the wire that it speaks on."""

    def __init__(
        self,
        net: Net,
        name: str = "server",
        *,
        seat: int = 1,
        certs: Credentials | None = None,
        http3: Any = HTTP3,
        more: dict[str, Any] | None = None,
        maker: Callable[..., Any] = Echo,
        **terms: Any,
    ) -> None:
        self.net = net
        self.name = name
        self.endpoints: list[Any] = []
        self.open: list[Any] = []
        self.gone: list[Any] = []
        self.failures: list[str] = []
        self.relayed: list[tuple[int, Path, bytes]] = []
        self.sent: list[tuple[Path, bytes]] = []
        self.room = True
        self.asked = False
        self._maker = maker
        facts = {"handshake_timeout_s": 5.0, "retry_above": 1000, "early_data": False}
        facts |= {"idle_timeout_s": 30.0, "seat": seat, "generation": 1, "key": KEY}
        facts |= {"server": ("192.0.2.1", 443)} | terms
        self.hall = QuicHall(
            self._make,
            self,
            QuicTerms(credentials=certs or credentials(), **facts),
            None,
            limits(http3=http3, **(more or {})),
            Clock(1000.0),
        )

    def _make(self, link: Any, *rest: Any) -> Any:
        endpoint = self._maker(link, *rest)
        self.endpoints.append(endpoint)
        return endpoint

    def receive(self, datagram: bytes, source: tuple[str, int]) -> None:
        path = Path(source, "")
        self.hall.feed(path, datagram, self.net.now)
        self.hall.flush(self.net.now)

    def wake(self) -> None:
        self.hall.wake(self.net.now)

    def settle(self) -> None:
        """What was asked for outside of a feed."""
        if self.asked:
            self.asked = False
            self.hall.flush(self.net.now)

    # DatagramWire

    def send(self, path: Path, datagrams: list[bytes]) -> None:
        assert datagrams
        for datagram in datagrams:
            self.sent.append((path, datagram))
            self.net.carry(datagram, self.name, path.peer)

    def relay(self, seat: int, path: Path, datagram: bytes) -> None:
        self.relayed.append((seat, path, datagram))

    def soon(self) -> None:
        self.asked = True

    def has_room(self) -> bool:
        return self.room

    def opened(self, connection: Any) -> None:
        self.open.append(connection)

    def closed(self, connection: Any) -> None:
        self.open.remove(connection)
        self.gone.append(connection)

    def failed(self, peer: Any, reason: str) -> None:
        self.failures.append(reason)


class Client:
    """A connection of aioquic."""

    def __init__(
        self, net: Net, server: Server, *, port: int = 4000, name: str = "example.org", **terms: Any
    ) -> None:
        self.net = net
        self.server = server
        self.address = ("192.0.2.7", port)
        self.events: list[Any] = []
        self.tickets: list[Any] = []
        facts: dict[str, Any] = {"alpn_protocols": ["h3"], "is_client": True, "server_name": name}
        facts |= {"verify_mode": ssl.CERT_NONE} | terms
        self.quic = QuicConnection(
            configuration=QuicConfiguration(**facts), session_ticket_handler=self.tickets.append
        )
        net.clients.append(self)

    def connect(self) -> Client:
        self.quic.connect(("server", 443), now=self.net.now)
        self.transmit()
        return self

    def transmit(self) -> None:
        for datagram, _ in self.quic.datagrams_to_send(self.net.now):
            self.net.carry(datagram, self.address, self.server)

    def receive(self, datagram: bytes) -> None:
        self.quic.receive_datagram(datagram, ("server", 443), self.net.now)
        self.take()
        self.transmit()

    def take(self) -> None:
        while (event := self.quic.next_event()) is not None:
            self.events.append(event)

    def wake(self) -> None:
        self.quic.handle_timer(self.net.now)
        self.take()
        self.transmit()

    def ask(self, data: bytes, *, last: bool = True) -> int:
        """Send on a new stream; its number."""
        stream_id = self.quic.get_next_available_stream_id()
        self.send(stream_id, data, last=last)
        return stream_id

    def send(self, stream_id: int, data: bytes, *, last: bool = False) -> None:
        self.quic.send_stream_data(stream_id, data, last)
        self.transmit()

    def heard(self, stream_id: int) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, StreamDataReceived) and event.stream_id == stream_id
        )

    def ended(self, stream_id: int) -> bool:
        return any(
            isinstance(event, StreamDataReceived)
            and event.stream_id == stream_id
            and event.end_stream
            for event in self.events
        )

    @property
    def established(self) -> bool:
        return any(isinstance(event, HandshakeCompleted) for event in self.events)

    @property
    def handshake(self) -> HandshakeCompleted:
        (found,) = (event for event in self.events if isinstance(event, HandshakeCompleted))
        return found

    @property
    def end(self) -> ConnectionTerminated | None:
        found = [event for event in self.events if isinstance(event, ConnectionTerminated)]
        return found[0] if found else None


class Net:
    """Carries datagrams, each after a while; time passes from one to the next.

    Attributes:
        judge: told of each datagram (octets, to the server?); None loses it, a number delays it.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.clients: list[Client] = []
        self.servers: list[Server] = []
        self.judge: Callable[[bytes, bool], float | None] = lambda datagram, up: DELAY_S
        self._count = count()
        self._flying: list[tuple[float, int, bytes, Any, Any]] = []

    def server(self, **terms: Any) -> Server:
        server = Server(self, f"server {len(self.servers)}", **terms)
        self.servers.append(server)
        return server

    def client(self, server: Server, **terms: Any) -> Client:
        return Client(self, server, port=4000 + len(self.clients), **terms)

    def carry(self, datagram: bytes, source: Any, target: Any) -> None:
        after = self.judge(datagram, isinstance(target, Server))
        if after is not None:
            heappush(self._flying, (self.now + after, next(self._count), datagram, source, target))

    def run(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        until = self.now + seconds
        for _ in range(200_000):
            for server in self.servers:
                server.settle()
            moment, act = self._next()
            if moment > until:
                break
            self.now = max(self.now, moment) + 1e-6  # a timer that is rounded down fires in vain
            act()
        else:
            raise AssertionError("it does not come to rest")
        self.now = until

    def _next(self) -> tuple[float, Callable[[], None]]:
        moments: list[tuple[float, int, Callable[[], None]]] = []
        if self._flying:
            moments.append((self._flying[0][0], 0, self._deliver))
        for client in self.clients:
            timer = client.quic.get_timer()
            if timer is not None:
                moments.append((timer, 1, client.wake))
        moments.extend((server.hall.alarm, 2, server.wake) for server in self.servers)
        moment, _, act = min(moments, default=(NEVER, 0, lambda: None), key=lambda one: one[:2])
        return moment, act

    def _deliver(self) -> None:
        _, _, datagram, source, target = heappop(self._flying)
        if isinstance(target, Server):
            target.receive(datagram, source)
            return
        for client in self.clients:
            if client.address == target and client.server.name == source:
                client.receive(datagram)
