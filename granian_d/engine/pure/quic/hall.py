"""All QUIC connections of one worker's UDP socket, by connection id.

    feed -> an id that is known                   -> Guest.receive
         -> an id of another worker               -> wire.relay
         -> a first packet (Initial)              -> a new Guest, or a Retry
         -> a version we do not speak             -> version negotiation
         -> an id that is ours and not known      -> stateless reset

What is answered without a connection is made in quic.stateless; nothing of it is remembered.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from aioquic.quic.packet import QuicErrorCode

from granian_d.engine.pure.quic import stateless
from granian_d.engine.pure.quic.alarms import Alarms
from granian_d.engine.pure.quic.certificates import read_pairs
from granian_d.engine.pure.quic.connection import Issuer, Setup, configure, promise
from granian_d.engine.pure.quic.farewell import Farewell
from granian_d.engine.pure.quic.guest import Guest, peer_of
from granian_d.engine.pure.quic.tickets import Tickets
from granian_d.engine.pure.quic.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Leave, Service
    from granian_d.engine.datagrams import (
        Credentials,
        DatagramWire,
        LinkEndpoint,
        LinkMaker,
        Path,
        QuicTerms,
    )
    from granian_d.engine.pure.quic.stateless import FirstHeader
    from granian_d.plan import Limits

# Handshakes at a time in a worker; each costs some 100 KiB until it is complete or given up.
HANDSHAKES: Final = 1000
# First packets a second that may come to nothing: with more of them, all peers must prove their
# address. Nobody is asked for ten times the work that a Retry is, by packets that he makes up.
FRUITLESS_PER_S: Final = 200.0


class QuicHall:
    """See engine.datagrams.Hall and HallMaker.

    Args:
        maker: of what speaks on the connections: HTTP/3.

    Attributes:
        wire: its transport.
    """

    __slots__ = (
        "_alarms",
        "_allowance",
        "_clock",
        "_fruitless",
        "_issuer",
        "_leave",
        "_limits",
        "_maker",
        "_members",
        "_now",
        "_service",
        "_setup",
        "_shaking",
        "_terms",
        "_tokens",
        "_touched",
        "_working",
        "wire",
    )

    def __init__(
        self,
        maker: LinkMaker,
        wire: DatagramWire,
        terms: QuicTerms,
        service: Service,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self.wire = wire
        self._terms = terms
        self._service = service
        self._limits = limits
        self._clock = clock
        self._maker = maker
        self._issuer = Issuer(terms)
        self._tokens = Tokens(terms.key)
        self._setup = self._prepare(terms.credentials)
        self._members: dict[bytes, Guest | Farewell] = {}
        self._shaking: set[Guest] = set()  # handshakes that are not complete
        self._touched: deque[Guest] = deque()
        self._alarms: Alarms[Guest | Farewell] = Alarms()
        self._allowance = stateless.Allowance()
        self._fruitless = stateless.Allowance(FRUITLESS_PER_S)
        self._leave: Leave | None = None
        self._now = 0.0  # of the last flush
        self._working = False  # in a feed: a flush follows anyway

    # --- called by the transport (engine.datagrams.Hall) -----------------------------

    @property
    def alarm(self) -> float:
        """When `wake` wants to be called."""
        return self._alarms.first

    def feed(self, path: Path, datagram: bytes, now: float) -> None:
        """A datagram has arrived."""
        if not datagram:
            return
        self._working = True
        try:
            destination = stateless.destination_of(datagram)
            member = self._members.get(destination)
            if member is None:
                self._greet(path, datagram, destination, now)
            elif isinstance(member, Guest):
                self._do(member, member.receive, path, datagram, now)
            else:
                member.receive(path, datagram)
        finally:
            self._working = False

    def flush(self, now: float) -> None:
        """Send what there is to be sent."""
        self._now = now
        self._working = True
        try:
            while self._touched:
                guest = self._touched.popleft()
                self._do(guest, self._flush, guest, now)
        finally:
            self._working = False
            if self._touched:  # one has failed, the others want to be flushed all the same
                self.wire.soon()

    def wake(self, now: float) -> None:
        """Timers have passed."""
        self._working = True
        try:
            while (sleeper := self._alarms.take(now)) is not None:
                if isinstance(sleeper, Guest):
                    self._do(sleeper, sleeper.wake, now)
                else:
                    self._forget_all(sleeper)
        finally:
            self._working = False
        self.flush(now)

    def drain(self, leave: Leave) -> None:
        """Drain all connections, and those still to come."""
        self._leave = leave
        for guest in self._guests():
            guest.drain(leave)

    def renew(self, credentials: Credentials) -> None:
        """Use these for connections to come."""
        self._setup = self._prepare(credentials)

    def close(self) -> None:
        """The worker goes: who is still there is told, as the kernel tells the peers of TCP."""
        guests = self._guests()
        for guest in guests:
            guest.failure = guest.failure or "the worker has left"  # if it was in its handshake
            guest.finish()
        self.flush(self._now)
        self._members.clear()
        self._touched.clear()
        self._alarms = Alarms()
        for guest in guests:
            if not guest.is_gone:
                self._lose(guest)

    # --- called by guests (guest.Keeper) -----------------------------

    def adopt(self, connection_id: bytes, guest: Guest) -> None:
        """Packets to this id are the guest's."""
        self._members[connection_id] = guest

    def forget(self, connection_id: bytes) -> None:
        """And no longer."""
        self._members.pop(connection_id, None)

    def touch(self, guest: Guest) -> None:
        """It has something to send."""
        guest.touched = True
        self._touched.append(guest)
        if not self._working:
            self.wire.soon()

    def admit(self, guest: Guest) -> LinkEndpoint:
        """Let HTTP/3 speak on a connection."""
        endpoint = self._maker(guest.link, self._service, self._limits, self._clock)
        if self._leave is not None:
            endpoint.drain(self._leave)
        return endpoint

    # --- datagrams of no connection ------------------------------

    def _greet(self, path: Path, datagram: bytes, destination: bytes, now: float) -> None:
        seat = self._issuer.seat_of(destination)
        if seat is not None and seat != self._terms.seat:
            self.wire.relay(seat, path, datagram)
        elif not stateless.is_long(datagram):
            if seat is not None:
                self._answer(path, stateless.reset(datagram, self._issuer.reset_key), now)
        elif len(datagram) >= stateless.INITIAL_BYTES:
            self._greet_client(path, datagram, now)

    def _greet_client(self, path: Path, datagram: bytes, now: float) -> None:
        if self._leave is not None and not self._leave.restarting:
            # The service ends. The client asks again: whoever reads the socket by then answers it,
            # or the kernel says that nobody does.
            return
        version = stateless.version_of(datagram)
        if version not in stateless.VERSIONS:
            if version:  # 0 is version negotiation itself
                self._answer(path, stateless.negotiate_version(datagram), now)
            return
        header = stateless.read_first(datagram)
        if header is None:
            return
        original: bytes | None = None
        if header.token and self._issuer.seat_of(header.destination) is not None:
            original = self._tokens.open(path, header.destination, header.token, now)
            if original is None:  # it cannot be asked a second time (RFC 9000 8.1.2)
                self._refuse(path, header, QuicErrorCode.INVALID_TOKEN, now)
                return
        elif len(header.destination) < stateless.ORIGINAL_ID_BYTES:
            return
        elif self._is_pressed(now):
            next_id = self._issuer.new_id()
            token = self._tokens.seal(path, header.destination, next_id, now)
            # Not rationed: in a flood it is what lets others through.
            self.wire.send(path, [stateless.ask_again(header, next_id, token)])
            return
        self._take(path, datagram, header, original, now)

    def _is_pressed(self, now: float) -> bool:
        """Whether peers have to prove their address (RFC 9000 8.1.2)."""
        is_busy = len(self._shaking) >= self._terms.retry_above
        return is_busy or not self._fruitless.is_left(now)

    def _take(
        self, path: Path, datagram: bytes, header: FirstHeader, original: bytes | None, now: float
    ) -> None:
        """Begin a connection."""
        if len(self._shaking) >= HANDSHAKES or not self.wire.has_room():
            self._refuse(path, header, QuicErrorCode.CONNECTION_REFUSED, now)
            return
        ids = (header.destination, None) if original is None else (original, header.destination)
        patience_s = self._terms.handshake_timeout_s
        guest = Guest(self, self._setup, path, ids, (now + patience_s, patience_s))
        self._do(guest, guest.receive, path, datagram, now)
        if guest.is_silent:  # it only looked like a first packet
            self._forget_all(guest)
            self._fruitless.take(now)
            return
        guest.is_open = True
        self._shaking.add(guest)
        self.wire.opened(guest)  # a worker that drains waits for handshakes, too

    def _refuse(self, path: Path, header: FirstHeader, code: QuicErrorCode, now: float) -> None:
        if self._allowance.take(now):
            self.wire.send(path, [stateless.refuse(header, self._issuer.new_id(), code)])
            peer = peer_of(path, self._terms.server, None)
            self.wire.failed(peer, code.name.lower().replace("_", " "))

    def _answer(self, path: Path, answer: bytes | None, now: float) -> None:
        if answer is not None and self._allowance.take(now):
            self.wire.send(path, [answer])

    # --- inside ------------------------------

    def _prepare(self, credentials: Credentials) -> Setup:
        assert self._limits.http3 is not None
        limits, terms = self._limits.http3, self._terms
        names = read_pairs(credentials)
        early = promise(self._limits) if terms.early_data else None
        return Setup(
            configuration=configure(limits, names.default, terms.idle_timeout_s),
            issuer=self._issuer,
            names=names,
            tickets=Tickets(credentials, early),
            streams=limits.streams,
            server=terms.server,
        )

    def _guests(self) -> list[Guest]:
        """Each once."""
        return list(
            {member: None for member in self._members.values() if isinstance(member, Guest)}
        )

    def _do(self, guest: Guest, act: Callable[..., object], *arguments: Any) -> None:
        """Do something with a connection. Who is hit by a fault of ours is lost, and nobody else.

        Its peer learns of it by a stateless reset, when it sends the next packet.
        """
        try:
            act(*arguments)
        except BaseException:
            self._forget_all(guest)
            self._lose(guest)
            raise

    def _flush(self, guest: Guest, now: float) -> None:
        if guest.is_silent or guest.is_gone:
            return
        last = guest.flush(now)
        if guest.is_over:
            self._part(guest, last, now)
            return
        if guest.quic.is_established:
            self._shaking.discard(guest)
        self._alarms.set(guest.alarm)

    def _part(self, guest: Guest, last: list[tuple[bytes, Path]], now: float) -> None:
        """A connection is over: what still comes of it is for a Farewell."""
        farewell = Farewell(self.wire, guest.ids, last, now + guest.quic.farewell_s())
        for connection_id in guest.ids:
            self._members[connection_id] = farewell
        self._alarms.set(farewell.alarm)
        self._lose(guest)

    def _lose(self, guest: Guest) -> None:
        if guest in self._shaking:
            self._shaking.discard(guest)
            self._fruitless.take(self._now)
            self.wire.failed(guest.link.peer, guest.reason())
        if guest.is_open:
            self.wire.closed(guest)
        guest.lose()

    def _forget_all(self, member: Guest | Farewell) -> None:
        for connection_id in member.ids:
            self._members.pop(connection_id, None)
