"""One connection of QUIC as its hall and the worker know it: datagrams, time, its life.

    hall   -> receive, wake, flush        datagrams and moments
    guest  -> LinkEndpoint                what they come to
    worker -> abort, finish, drain ...    see engine.datagrams.LinkedConnection

Its life: a handshake; HTTP/3 on it, once the handshake is complete or early data was accepted; the
end. The end is one moment: CONNECTION_CLOSE has left or come, or time is over. What the RFC calls
closing and draining (RFC 9000 10.2) is left to a Farewell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from aioquic.quic.events import (
    ConnectionIdRetired,
    HandshakeCompleted,
    ProtocolNegotiated,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.quic.alarms import Alarm
from granian_d.engine.pure.quic.link import QuicLink
from granian_d.engine.pure.quic.writing import WritingConnection
from granian_d.http.message import Peer

if TYPE_CHECKING:
    from granian_d.engine.contract import Leave
    from granian_d.engine.datagrams import DatagramWire, LinkEndpoint, Path
    from granian_d.engine.pure.quic.connection import Setup
    from granian_d.engine.pure.quic.farewell import Farewell
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import TlsFacts

# Codes of HTTP/3 (RFC 9114 8.1) for what a worker does to a connection.
_NO_ERROR: Final = 0x0100
_INTERNAL_ERROR: Final = 0x0102
# Rounds of one flush: what was written when packets had left leaves as well, but not for ever.
_ROUNDS: Final = 16


class Keeper(Protocol):
    """The hall, as a guest sees it."""

    wire: DatagramWire

    def adopt(self, connection_id: bytes, guest: Guest) -> None:
        """Packets to this id are the guest's."""

    def forget(self, connection_id: bytes) -> None:
        """And no longer."""

    def touch(self, guest: Guest) -> None:
        """It has something to send: have it flushed."""

    def admit(self, guest: Guest) -> LinkEndpoint:
        """Make what speaks on it."""


class Guest:
    """One connection.

    Args:
        keeper: its hall.
        setup: what it is made with.
        path: of its first packet.
        ids: the client's original id, and the one that a Retry has told it (None without one).
        patience: until when the handshake may last (CLOCK_MONOTONIC), and how long that is.

    Attributes:
        link: what HTTP/3 has of it.
        quic: the connection as the library has it.
        alarm: when `wake` wants to be called, CLOCK_MONOTONIC.
        touched: it is on the hall's list of those to be flushed.
        ids: all connection ids that lead here.
        endpoint: HTTP/3; None during the handshake, unless there is early data.
        is_open: the worker knows of it.
        failure: why the handshake has come to nothing; "" while it has not.
    """

    __slots__ = (
        "__weakref__",
        "_is_gone",
        "_keeper",
        "_look_at",
        "_path",
        "_patience_s",
        "_patience_until",
        "_proven",
        "_server",
        "_stirred",
        "alarm",
        "endpoint",
        "failure",
        "ids",
        "is_open",
        "link",
        "quic",
        "touched",
    )

    def __init__(
        self,
        keeper: Keeper,
        setup: Setup,
        path: Path,
        ids: tuple[bytes, bytes | None],
        patience: tuple[float, float],
    ) -> None:
        self._keeper = keeper
        self._path = path
        self._server = setup.server
        self._patience_until, self._patience_s = patience
        self._proven = ids[1] is not None  # a Retry has shown that the address is the peer's
        self._is_gone = False
        self.is_open = False
        self._look_at = NEVER  # when it is asked whether a PING has to keep it alive
        self.ids: set[bytes] = set()
        self.alarm: Alarm[Guest | Farewell] = Alarm(self)
        self.touched = False
        self._stirred = False  # something was written since packets were built
        self.failure = ""
        self.endpoint: LinkEndpoint | None = None
        self.quic = WritingConnection(setup, *ids, self._adopt)
        self.link = QuicLink(self, self.quic, peer_of(path, self._server, None))
        self._adopt(ids[1] or ids[0])

    # --- asked by the worker (engine.datagrams.LinkedConnection) -----------------------------

    @property
    def deadline(self) -> float:
        """That of HTTP/3."""
        return NEVER if self.endpoint is None else self.endpoint.deadline

    def expire(self) -> None:
        """The deadline has passed."""
        if self.endpoint is not None:
            self.endpoint.expire()

    def abort(self) -> None:
        """End it at once."""
        self.link.close(_INTERNAL_ERROR)

    def finish(self) -> None:
        """End it in good order: whoever asks has seen that nothing is queued."""
        self.link.close(_NO_ERROR)

    def under_way(self, found: list[Exchange]) -> None:
        """Those of HTTP/3."""
        if self.endpoint is not None:
            self.endpoint.under_way(found)

    def reset(self, exchange: Exchange) -> None:
        """Have HTTP/3 cut it."""
        if self.endpoint is not None:
            self.endpoint.reset(exchange)

    def queued_bytes(self) -> int:
        """Bytes of answers that the peer has not acknowledged."""
        return self.quic.queued_bytes()

    def drain(self, leave: Leave) -> None:
        """Finish what is going on, start nothing new."""
        if self.endpoint is not None:
            self.endpoint.drain(leave)

    # --- called by the hall ------------------------------

    @property
    def is_over(self) -> bool:
        """Nothing comes and nothing goes any more."""
        return self.quic.has_ended

    @property
    def is_gone(self) -> bool:
        """`lose` was called."""
        return self._is_gone

    @property
    def is_silent(self) -> bool:
        """No packet of it could be read: there is no connection."""
        return self.quic.is_silent

    def touch(self) -> None:
        """There is something to send."""
        self._stirred = True
        if not self.touched:
            self._keeper.touch(self)

    def receive(self, path: Path, datagram: bytes, now: float) -> None:
        """A datagram for one of its ids."""
        quic = self.quic
        quic.receive_datagram(datagram, path, now)
        if self._proven:
            quic.believe_address()
            self._proven = False
        if quic._events:
            self._tell()
        if path != self._path:
            self._follow()
        if self._look_at == NEVER:
            self._look_at = now + quic.idle_s() / 2
        self.touch()

    def wake(self, now: float) -> None:
        """`alarm` has passed."""
        if now >= self._patience_until and not self.quic.is_established:
            self._give_up(f"it took longer than {self._patience_s:g} s")
        else:
            self.quic.pass_time(now)
            if now >= self._look_at:
                self._keep_alive(now)
        self.touch()

    def flush(self, now: float) -> list[tuple[bytes, Path]]:
        """Send what there is to be sent.

        Returns:
            the last datagrams that were sent, with their paths.
        """
        quic = self.quic
        packets: list[tuple[bytes, Path]] = []
        self.touched = self._stirred = True  # what is written meanwhile leaves, too
        rounds = _ROUNDS
        while self._stirred and rounds:
            self._stirred = False
            rounds -= 1
            packets = quic.datagrams_to_send(now)
            if packets:
                self._send(packets)
            if self.endpoint is not None and not quic.has_ended:
                self.endpoint.feed_room()
        self.touched = False
        if self._stirred:
            self.touch()
        if quic._events:
            self._tell()
        if not quic.has_ended:
            self._set_alarm()
        return packets

    def lose(self) -> None:
        """It is over, and the hall knows."""
        self._is_gone = True
        endpoint, self.endpoint = self.endpoint, None
        self.alarm.cancel()
        if endpoint is not None:
            endpoint.feed_lost()

    def reason(self) -> str:
        """Why its handshake has come to nothing."""
        return self.failure or self.quic.reason()

    # --- inside ------------------------------

    def _adopt(self, connection_id: bytes) -> None:
        self.ids.add(connection_id)
        self._keeper.adopt(connection_id, self)

    def _send(self, packets: list[tuple[bytes, Path]]) -> None:
        path = packets[0][1]
        batch: list[bytes] = []
        for octets, where in packets:
            if where is not path and where != path:
                self._keeper.wire.send(path, batch)
                path, batch = where, []
            batch.append(octets)
        self._keeper.wire.send(path, batch)

    def _give_up(self, reason: str) -> None:
        self.failure = reason
        self.quic.give_up()

    def _set_alarm(self) -> None:
        quic = self.quic
        alarm = quic.get_timer() or NEVER
        other = self._look_at if quic.is_established else self._patience_until
        self.alarm.at = min(alarm, other)

    def _keep_alive(self, now: float) -> None:
        """An application may take longer than the idle timeout: its connection must not be lost.

        Where nothing is under way, nobody looks again before the next packet.
        """
        half_s = self.quic.idle_s() / 2
        self._look_at = self.quic.heard_at() + half_s
        if self._look_at > now:
            return
        found: list[Exchange] = []
        self.under_way(found)
        self._look_at = now + half_s if found else NEVER
        if found:
            self.quic.send_ping(0)

    def _follow(self) -> None:
        """The peer may have moved; requests to come are from where it is now, if that is proven."""
        path = self.quic.proven_path()
        if path is not None and path != self._path:
            if path.peer[0] != self._path.peer[0]:  # a port alone is a NAT's doing
                self.quic.measure_anew()
            self._path = path
            self.link.peer = peer_of(path, self._server, self.link.peer.tls)

    def _tell(self) -> None:
        """Tell HTTP/3 what has come."""
        quic = self.quic
        events = quic._events
        while events:
            event = events.popleft()
            endpoint = self.endpoint
            match event:
                case StreamDataReceived() if endpoint is not None:
                    if quic.is_deaf(event.stream_id):
                        quic.give_back(event.stream_id, len(event.data))
                    else:
                        endpoint.feed_stream(event.stream_id, event.data, event.end_stream)
                    if event.end_stream:
                        quic.judge(event.stream_id)
                case HandshakeCompleted():
                    self.link.established = True
                    self._begin()
                    assert self.endpoint is not None
                    self.endpoint.feed_established()
                case ProtocolNegotiated() if quic.tls.early_data_accepted:
                    self._begin()
                case StreamReset() if endpoint is not None:
                    if not quic.is_deaf(event.stream_id):
                        endpoint.feed_reset(event.stream_id, event.error_code)
                    quic.judge(event.stream_id)
                case StopSendingReceived() if endpoint is not None:
                    quic.mark_ready(event.stream_id)
                    endpoint.feed_stop(event.stream_id, event.error_code)
                case ConnectionIdRetired():
                    self.ids.discard(event.connection_id)
                    self._keeper.forget(event.connection_id)
                case _:
                    pass

    def _begin(self) -> None:
        """Let HTTP/3 speak."""
        if self.endpoint is None and not self.quic.has_ended:
            facts = self.quic.tls.facts()
            self.link.peer = peer_of(self._path, self._server, facts)
            self.endpoint = self._keeper.admit(self)


def peer_of(path: Path, server: tuple[str, int], facts: TlsFacts | None) -> Peer:
    """The two ends of a path, of a socket that is bound to `server`."""
    host, port, *_ = path.peer
    return Peer((host, port), (path.local or server[0], server[1]), "https", facts)
