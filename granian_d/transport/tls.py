"""TLS between a transport and an engine: an Endpoint to the one, a Wire to the other.

OpenSSL reads and writes memory here (ssl.SSLObject), so the same layer works over every transport.
What the engine writes while it is fed is joined into one piece: one record, and one send.

    transport -> feed_data -> _incoming -> OpenSSL -> engine.feed_data
    transport <- write     <- _outgoing <- OpenSSL <- write <- engine
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

from granian_d.engine.contract import NEVER
from granian_d.http.message import Peer
from granian_d.transport.tls_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Endpoint, EndpointMaker, Leave, Service, Wire
    from granian_d.http.exchange import Exchange
    from granian_d.plan import Limits
    from granian_d.transport.tls_context import Contexts

RECORD_BYTES: Final = 16384  # of plaintext, at most (RFC 8446 5.1)
JOINED_BYTES: Final = 65536  # more is not worth waiting for
SLICE_BYTES: Final = 262144  # of a larger body: encrypted and handed on, then the next


class Secured:
    """Makes the first endpoint of connections that begin with a handshake.

    Args:
        contexts: of OpenSSL; may be replaced, for the connections to come.
        choose: what speaks the protocol that ALPN came to, None for none (RFC 7301).
        handshake_s: how long a handshake may take, in seconds.
        soon: has something called in the loop's next turn.
        failed: is told of a handshake that came to nothing, and why.
    """

    __slots__ = ("choose", "contexts", "failed", "handshake_s", "soon")

    def __init__(
        self,
        contexts: Contexts,
        choose: Callable[[str | None], EndpointMaker],
        handshake_s: float,
        soon: Callable[[Callable[[], None]], Any],
        failed: Callable[[Peer, str], None],
    ) -> None:
        self.contexts = contexts
        self.choose = choose
        self.handshake_s = handshake_s
        self.soon = soon
        self.failed = failed

    def __call__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock
    ) -> Endpoint:
        """Make it; see engine.contract.EndpointMaker."""
        # Transports read a deadline and never set it, so that it may be a property.
        return cast("Endpoint", TlsEndpoint(self, wire, peer, service, limits, clock))


class TlsEndpoint:
    """One secured connection."""

    __slots__ = (
        "__weakref__",
        "_clock",
        "_closed",
        "_contexts",
        "_deadline",
        "_door",
        "_ended",
        "_eof",
        "_feeding",
        "_full",
        "_greeted",
        "_incoming",
        "_inner",
        "_leave",
        "_limits",
        "_outer",
        "_outgoing",
        "_paused",
        "_peer",
        "_plain",
        "_plain_bytes",
        "_scheduled",
        "_service",
        "_talk",
        "_told_full",
    )

    def __init__(
        self, door: Secured, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock
    ) -> None:
        self._door = door
        self._outer = wire
        self._peer = peer
        self._service = service
        self._limits = limits
        self._clock = clock
        self._contexts = door.contexts
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._talk: Any = door.contexts.wrap(self._incoming, self._outgoing)
        self._inner: Endpoint | None = None  # until the handshake is over
        self._leave: Leave | None = None  # of a drain before that
        self._deadline = clock.now + door.handshake_s
        self._greeted = False  # the peer has sent something
        self._plain: list[bytes] = []  # written by the engine, not encrypted yet
        self._plain_bytes = 0
        self._feeding = False  # what is written now can wait for more
        self._full = False  # the wire wants no more
        self._told_full = False  # and the engine knows
        self._paused = False  # the engine wants no more
        self._scheduled = False  # what it was not fed is on the loop's list
        self._eof = False  # the peer has closed its direction, which the engine does not know yet
        self._ended = False  # and which it does know
        self._closed = False  # by us

    # --- called by the transport (engine.contract.Endpoint) --------------------------------------

    @property
    def deadline(self) -> float:
        """That of the handshake, then the engine's."""
        return self._deadline if self._inner is None else self._inner.deadline

    def feed_data(self, data: bytes) -> None:
        """Bytes have arrived: part of the handshake, or records."""
        self._incoming.write(data)
        self._greeted = True
        self._take()

    def feed_eof(self) -> None:
        """The peer has closed its direction, most likely without close_notify.

        Nothing can be cut off by that without notice, a request says where it ends. So it is an end
        like all others (RFC 9112 9.8).
        """
        if self._inner is None:
            self._fail("the peer closed the connection")
            return
        self._eof = not self._ended  # it may follow on a close_notify
        if not self._paused:
            self._tell_end()

    def feed_lost(self) -> None:
        """The connection is gone."""
        inner, began = self._inner, self._greeted and not self._closed
        self._closed = True
        # What is left refers to nobody: neither engine nor wire is kept alive by this object.
        self._inner = None
        self._deadline = NEVER
        self._talk = None
        self._plain.clear()
        self._plain_bytes = 0
        if inner is not None:
            inner.feed_lost()
        elif began:
            self._door.failed(self._peer, "the connection was lost")

    def feed_room(self) -> None:
        """The wire takes more."""
        self._full = False
        if self._told_full and self._inner is not None and not self._closed:
            self._told_full = False
            self._inner.feed_room()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._inner is not None:
            self._inner.expire()
            return
        self._door.failed(self._peer, f"it took longer than {self._door.handshake_s:g} s")
        self.abort()

    def drain(self, leave: Leave) -> None:
        """Finish what is going on; after a handshake the engine begins with a drain."""
        if self._inner is not None:
            self._inner.drain(leave)
            return
        self._leave = leave
        self._deadline = min(self._deadline, self._clock.now + leave.idle_s)

    def under_way(self, found: list[Exchange]) -> None:
        """Those of the engine."""
        if self._inner is not None:
            self._inner.under_way(found)

    def reset(self, exchange: Exchange) -> None:
        """Have the engine cut it."""
        if self._inner is not None:
            self._inner.reset(exchange)

    # --- called by the engine (engine.contract.Wire) ---------------------------------------------

    def write(self, data: bytes) -> bool:
        """Encrypt bytes and send them; during a feed, together with what follows."""
        if self._closed:
            return False
        if data:
            self._plain.append(data)
            self._plain_bytes += len(data)
        if not self._feeding or self._plain_bytes > JOINED_BYTES:
            self._flush()
        if self._full:
            self._told_full = True
        return not self._full

    def pause(self) -> None:
        """Feed no more for now."""
        if not self._closed:
            self._paused = True
            self._outer.pause()

    def resume(self) -> None:
        """Feed again; what is here already in the loop's next turn."""
        if not self._paused:
            return
        self._paused = False
        self._outer.resume()
        if (self._incoming.pending or self._eof) and not self._scheduled:
            self._scheduled = True
            self._door.soon(self._go_on)

    def queued_bytes(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._plain_bytes + self._outer.queued_bytes()

    def switch(self, endpoint: Endpoint) -> None:
        """Feed another endpoint from now on."""
        if self._inner is not None:  # not lost yet
            self._inner = endpoint

    def finish(self) -> None:
        """Send what is left and close_notify (RFC 9112 9.8), then close as the wire does."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        # It waits for nobody's close_notify; where the handshake is not over there is none to send.
        with contextlib.suppress(ssl.SSLError):
            self._talk.unwrap()
        self._send()
        self._outer.finish()

    def abort(self) -> None:
        """Close at once, without close_notify."""
        self._closed = True
        self._plain.clear()
        self._plain_bytes = 0
        self._outer.abort()

    # --- from the peer ----------------------------------------------------------------------------

    def _take(self) -> None:
        """Read what has arrived, as far as the engine wants it, and send what this comes to."""
        self._feeding = True
        try:
            if self._inner is not None or self._shake_hands():
                self._read()
        finally:
            self._feeding = False
        if not self._closed:
            self._flush()

    def _shake_hands(self) -> bool:
        """Take the handshake one step further; whether it is over."""
        try:
            self._talk.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self._fail(_reason(error))
            return False
        facts = facts_of(self._talk, self._contexts)
        peer = Peer(self._peer.client, self._peer.server, "https", facts)
        maker = self._door.choose(self._talk.selected_alpn_protocol())
        self._inner = maker(self, peer, self._service, self._limits, self._clock)
        if self._leave is not None:
            self._inner.drain(self._leave)
        return True

    def _read(self) -> None:
        """Feed the engine record by record.

        Between records nothing is held by OpenSSL, so a look at the octets that wait says whether
        there may be one: the exception that says no is dear.
        """
        while self._incoming.pending and not self._paused and not self._closed:
            try:
                data = self._talk.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                self._break(error)
                return
            if not data:  # close_notify
                self._eof = not self._ended
                self._incoming.read()
                break
            if self._inner is not None:
                self._inner.feed_data(data)
        if not self._paused:
            self._tell_end()

    def _tell_end(self) -> None:
        """Tell the engine once that the peer sends no more, behind all that it has sent."""
        if not self._eof or self._incoming.pending:
            return
        self._eof = False
        self._ended = True
        if self._inner is not None and not self._closed:
            self._inner.feed_eof()

    def _go_on(self) -> None:
        """Feed what a pause has held back."""
        self._scheduled = False
        if self._closed or self._paused:
            return
        try:
            self._take()
        except Exception:
            self.abort()  # a connection whose engine has failed is of no use to anybody
            raise

    # --- to the peer ------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Encrypt what the engine has written, and hand it on."""
        plain = self._plain
        if plain:
            data = plain[0] if len(plain) == 1 else b"".join(plain)
            plain.clear()
            self._plain_bytes = 0
            if len(data) <= SLICE_BYTES:
                self._encrypt(data)
            else:
                for at in range(0, len(data), SLICE_BYTES):
                    self._encrypt(data[at : at + SLICE_BYTES])
                    self._send()
        self._send()

    def _encrypt(self, data: bytes) -> None:
        """OpenSSL takes a record's worth at a time."""
        try:
            taken = self._talk.write(data)
            if taken < len(data):
                rest = memoryview(data)
                while taken < len(data):
                    taken += self._talk.write(rest[taken:])
        except ssl.SSLError:  # it has failed before, and was closed then
            self.abort()

    def _send(self) -> None:
        if self._outgoing.pending and not self._outer.write(self._outgoing.read()):
            self._full = True

    # --- what goes wrong --------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        """The handshake has come to nothing; an alert says so, if there is one.

        Who connects and says nothing looks whether somebody is there, and is not worth a word.
        """
        if self._greeted:
            self._door.failed(self._peer, reason)
        self._closed = True
        self._send()
        self._outer.finish()

    def _break(self, error: ssl.SSLError) -> None:
        """A record that is none: an alert, no close_notify, and the end."""
        self._plain.clear()
        self._plain_bytes = 0
        self._fail(_reason(error))


def _reason(error: ssl.SSLError) -> str:
    """What was wrong, in OpenSSL's words."""
    verdict = getattr(error, "verify_message", "")
    return str(verdict or error.reason or "no reason given").lower().replace("_", " ")
