"""The endpoint of one WebSocket conversation (RFC 6455), and its Session.

Rules of this file: no I/O and no clock of its own. What arrives is read as far as the application
keeps up with it; every call from outside ends in `_settle`, which derives what the wire is asked
for and when `expire` wants to be called.

    over                  the wire was asked for its end, or it is lost
    _said                 our Close has gone out (its code); the peer's is awaited
    _fault                the peer broke a rule (the code of our Close to come); what it sent before
                          may be pulled and answered first
    none of them          the conversation goes on

Application code runs inside the callbacks of the Session and nowhere else; it may come back into
this file from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsproto.frame_protocol import Opcode

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.h1_outflow import Outflow
from granian_d.engine.pure.ws_close import (
    GOING_AWAY,
    NO_PONG,
    REASONS,
    RESTARTING,
    judge_close,
    read_close,
)
from granian_d.engine.pure.ws_intake import Intake
from granian_d.engine.pure.ws_patience import Patience
from granian_d.engine.pure.ws_writer import Writer
from granian_d.errors import ProtocolViolation, SessionClosed
from granian_d.http.handshake import agree_on_deflate, response_fields
from granian_d.http.session import ABNORMAL, CLOSING, OFFERED, OPEN, Session

if TYPE_CHECKING:
    from granian_d.engine.contract import Clock, Endpoint, Leave, Wire
    from granian_d.http.exchange import Exchange
    from granian_d.http.handshake import Deflate, Offer
    from granian_d.http.message import FieldPairs
    from granian_d.plan import Limits

# Of messages that the application has not pulled yet; reading goes on when half of it is left.
BUFFERED_BYTES: Final = 64 * 1024
MESSAGE_BYTES: Final = 64  # that a message takes beside its payload, about


def make_session(exchange: Exchange, offer: Offer, limits: Limits, clock: Clock) -> Session:
    """The conversation that `exchange` asks for, not accepted yet; see engine.contract."""
    return WsSession(exchange, offer, limits, clock)


class WsSession(Session):
    """A conversation; see Session."""

    __slots__ = ("_clock", "_endpoint", "_limits", "_offer", "_take_back")

    def __init__(self, exchange: Exchange, offer: Offer, limits: Limits, clock: Clock) -> None:
        super().__init__(exchange, offer.subprotocols)
        self._offer = offer
        self._limits = limits
        self._clock = clock
        self._endpoint: WsEndpoint | None = None
        self._take_back = exchange.when_gone(self._offer_lost)

    def accept(self, subprotocol: str | None, fields: FieldPairs) -> None:
        """Begin the conversation; see Session."""
        if self.state != OFFERED:
            self._advance("accept")  # raises
        limits = self._limits.websocket
        assert limits is not None
        deflate = agree_on_deflate(self._offer.extensions) if limits.compress else None
        self.exchange.tunnel(
            response_fields(self._offer, subprotocol, deflate, fields),
            lambda wire: self._begin(wire, deflate),
        )

    def pull(self) -> str | bytes | None:
        """The next message, None to wait; see Session."""
        message = super().pull()
        if message is None and self._endpoint is not None and self._endpoint.give_up():
            return super().pull()  # raises
        return message

    def send(self, data: str | bytes) -> bool:
        """Send a message; see Session."""
        if self.state != OPEN:
            self._advance("send")  # raises
        assert self._endpoint is not None
        return self._endpoint.send(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say Close; see Session."""
        if self.state == OFFERED:
            self._advance("close")  # raises
        judge_close(code, reason)
        if self.state == OPEN:
            self._advance("close")
            assert self._endpoint is not None
            self._endpoint.close(code, reason)

    def abort(self) -> None:
        """Cut the connection or stream; see Session."""
        if self._endpoint is not None:
            self._endpoint.abort()
        elif self.state == OFFERED:
            self.exchange.abort()
            self.feed_closed(ABNORMAL, "")

    def feed_closed(self, code: int, reason: str) -> None:
        """There will be no other message; see Session."""
        self._endpoint = None
        super().feed_closed(code, reason)

    def _begin(self, wire: Wire, deflate: Deflate | None) -> Endpoint:
        """The exchange has become a tunnel."""
        self._advance("accept")
        self._take_back()
        self._take_back = _nothing  # that one holds this session
        self._endpoint = WsEndpoint(wire, self, deflate, self._limits, self._clock)
        return self._endpoint

    def _offer_lost(self) -> None:
        if self.state == OFFERED:
            self.feed_closed(ABNORMAL, "")

    def _message_taken(self, message: str | bytes) -> None:
        if self._endpoint is not None:
            self._endpoint.message_taken(len(message) + MESSAGE_BYTES)


class WsEndpoint:
    """One conversation at wire level; see engine.contract.Endpoint.

    Attributes:
        deadline: when `expire` wants to be called.
    """

    __slots__ = (
        "_buffered_bytes",
        "_clock",
        "_eof",
        "_exchange",
        "_fault",
        "_intake",
        "_is_leaving",
        "_outflow",
        "_over",
        "_patience",
        "_paused",
        "_pong",
        "_reading",
        "_restarting",
        "_said",
        "_session",
        "_wire",
        "_writer",
        "deadline",
    )

    def __init__(
        self, wire: Wire, session: WsSession, deflate: Deflate | None, limits: Limits, clock: Clock
    ) -> None:
        assert limits.websocket is not None
        self._wire = wire
        self._session = session
        self._exchange = session.exchange
        self._clock = clock
        self._outflow = Outflow(wire, limits, clock)
        self._patience = Patience(limits.websocket, clock)
        self._intake = Intake(limits.websocket, deflate)
        self._writer = Writer(deflate)
        self._buffered_bytes = 0  # in messages that are not pulled yet
        self._said = 0
        self._is_leaving = False  # that Close was ours and not the application's
        self._restarting = False
        self._fault = 0
        self._pong: bytes | None = None  # owed to a peer that does not read
        self._eof = False
        self._over = False
        self._paused = False
        self._reading = False
        self.deadline = self._patience.next()

    # --- fed by the transport ------------------------------------------------------------------

    def feed_data(self, data: bytes) -> None:
        """Bytes have arrived."""
        if not (self._over or self._fault):
            self._patience.heard()
            self._intake.append(data)
            self._read()

    def feed_eof(self) -> None:
        """The peer has closed its sending side."""
        if not self._over:
            self._eof = True
            self._read()

    def feed_lost(self) -> None:
        """The connection is gone in both directions."""
        if not self._over:
            self._leave(self._verdict(ABNORMAL))

    def feed_room(self) -> None:
        """The wire's queue has fallen below its low-water mark."""
        if self._over:
            return
        self._outflow.feed_room()
        pong, self._pong = self._pong, None
        if pong is not None and not self._said:
            self._outflow.write(self._writer.pong(pong))
        self._session.feed_room()
        self._settle()

    def expire(self) -> None:
        """`deadline` may have passed."""
        now, patience = self._clock.now, self._patience
        if self._over or now < self.deadline:
            return
        if now >= self._outflow.deadline and self._outflow.stalled():
            self.abort()
        elif now >= patience.close_by:
            if not self.give_up():
                self._finish(self._verdict(ABNORMAL))
        elif now >= patience.leave_at:
            self._say_leave()
        elif now >= patience.pong_by or now >= patience.ping_at:
            self._mind_silence()
        self._settle()

    def drain(self, leave: Leave) -> None:
        """End the conversation at a moment of its own."""
        if self._over or self._said:
            return
        self._restarting = leave.restarting
        self._patience.leave(leave)
        if self._clock.now >= self._patience.leave_at:
            self._say_leave()
        self._settle()

    def under_way(self, found: list[Exchange]) -> None:
        """The request for this conversation."""
        if not self._over:
            found.append(self._exchange)

    def reset(self, exchange: Exchange) -> None:
        """Cut it."""
        if exchange is self._exchange:
            self.abort()

    # --- asked by the session ------------------------------------------------------------------

    def send(self, data: str | bytes) -> bool:
        """Write a message; False when the wire has no room for more."""
        if self._said:
            raise SessionClosed(self._said)
        frame = self._writer.message(data)
        self._exchange.sent_bytes += self._writer.payload_bytes
        return self._write(frame)

    def close(self, code: int, reason: str) -> None:
        """Say Close for the application."""
        if not self._said:
            self._say(code, reason)
        if not self.give_up():
            self._read()  # what it has not pulled does not hold the peer's Close up any more

    def abort(self) -> None:
        """Cut the connection or stream."""
        if not self._over:
            self._over = True
            self._wire.abort()
            self._leave((ABNORMAL, ""))

    def give_up(self) -> bool:
        """End it now if the peer broke a rule: the application has pulled what came before."""
        if self._fault and not self._over:
            self._end(self._fault)
        return self._fault != 0

    def message_taken(self, count: int) -> None:
        """A message has been pulled."""
        self._buffered_bytes -= count
        if self._paused and not self._is_full():
            self._patience.heard()  # it could not be heard
            self._read()

    # --- what arrives --------------------------------------------------------------------------

    def _read(self) -> None:
        """Read on, as far as the application keeps up."""
        if self._reading or self._over:
            return
        self._reading = True
        try:
            while not self._over and not self._is_full():
                arrival = self._intake.take()
                if arrival is None:
                    if self._eof:
                        self._finish(self._verdict(ABNORMAL))
                    break
                self._act(arrival.opcode, arrival.payload)
        except ProtocolViolation as violation:
            self._find_fault(violation.close_code)
        finally:
            self._reading = False
        self._settle()

    def _is_full(self) -> bool:
        """Nothing more is read for now, or ever. Who has said Close need not pull anything."""
        if self._fault:
            return True
        most = BUFFERED_BYTES // 2 if self._paused else BUFFERED_BYTES
        return self._buffered_bytes > most and self._session.state == OPEN

    def _act(self, opcode: Opcode, payload: bytes | str) -> None:
        if not opcode.iscontrol():
            self._take_message(payload)
            return
        assert isinstance(payload, bytes)
        if opcode is Opcode.CLOSE:
            code, reason = read_close(payload)
            if not self._said:
                self._say(code, "")  # RFC 6455 5.5.1: the code is echoed
            self._finish(self._verdict(code, reason))
        elif opcode is Opcode.PING and not self._said:  # RFC 6455 5.5.1: nothing follows a Close
            if self._outflow.room:
                self._write(self._writer.pong(payload))
            else:
                self._pong = payload  # RFC 6455 5.5.3: the last of several is answered

    def _take_message(self, message: bytes | str) -> None:
        if self._session.state == CLOSING and self._buffered_bytes > BUFFERED_BYTES:
            return  # nobody waits for it
        self._buffered_bytes += len(message) + MESSAGE_BYTES
        self._session.feed(message)

    # --- the end -------------------------------------------------------------------------------

    def _find_fault(self, code: int) -> None:
        """The peer broke a rule: at once, or when the application had what came before.

        An application is driven by a loop, so it has not even seen what came in the same packet.
        """
        if self._buffered_bytes and self._session.state == OPEN and not self._said:
            self._fault = code
            self._patience.end_soon()
        else:
            self._end(code)

    def _say(self, code: int, reason: str) -> None:
        """Close goes out; nothing of ours follows it."""
        self._said = code
        self._pong = None
        self._patience.said_close()
        self._write(self._writer.close(code, reason))

    def _say_leave(self) -> None:
        """The worker leaves."""
        code = RESTARTING if self._restarting else GOING_AWAY
        self._say(code, REASONS[code])
        self._is_leaving = True
        self._session.feed_room()  # who waits to send learns that it cannot

    def _mind_silence(self) -> None:
        """Nothing has come for a while: ask, or give up."""
        if self._paused or not self._outflow.room:
            self._patience.heard()  # not its fault, or found out by the write timeout
        elif self._clock.now >= self._patience.pong_by:
            self._end(NO_PONG)
        else:
            self._patience.asked()
            self._write(self._writer.ping())

    def _end(self, code: int) -> None:
        """Say why, and end without waiting for an answer (RFC 6455 7.1.7)."""
        if self._over:
            return
        reason = REASONS[code]
        if not self._said:
            self._say(code, reason)
        self._finish(self._verdict(code, reason))

    def _verdict(self, code: int, reason: str = "") -> tuple[int, str]:
        """Why it has ended: because of us, if we were the ones that left."""
        return (self._said, REASONS[self._said]) if self._is_leaving else (code, reason)

    def _finish(self, why: tuple[int, str]) -> None:
        """Write out the queue, then close."""
        if self._over:
            return  # the connection was lost over our Close
        self._over = True
        self._exchange.close_tunnel()
        self._wire.finish()
        self._leave(why)

    def _leave(self, why: tuple[int, str]) -> None:
        """Nothing more is asked of the wire, and nothing is waited for."""
        self._over = True
        self.deadline = NEVER
        self._exchange.close_tunnel()
        self._session.feed_closed(*why)

    # --- the wire ------------------------------------------------------------------------------

    def _write(self, frame: bytes) -> bool:
        room = self._outflow.write(frame)
        if not room:
            self._schedule()
        return room

    def _settle(self) -> None:
        """Derive what the wire is asked for."""
        if self._over:
            return
        self._paused = self._is_full()
        self._outflow.hold_peer(self._paused)
        self._schedule()

    def _schedule(self) -> None:
        self.deadline = min(self._outflow.deadline, self._patience.next())


def _nothing() -> None:
    """The callback has been taken back already."""
