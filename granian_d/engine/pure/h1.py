"""The endpoint of one HTTP/1.x connection: bytes in, one Exchange at a time, bytes out.

Rules of this file: no I/O and no clock of its own; every call from outside ends in `_proceed`,
which begins the next request if it can, and then derives anew what the wire is asked for (pause,
finish) and when `expire` wants to be called. Nothing is armed or disarmed anywhere else.

A connection is in one of these phases, told by three attributes:

    over                          finish or abort was asked of the wire, or it is lost
    _exchange                     a request is being answered (its body may still arrive: _body)
    _body without _exchange       answered; the rest of the request's body is discarded
    neither                       a head is awaited (or has begun to arrive: len(_intake))

Requests are answered in turn: the next head is looked at when the response before it has been
handed to the wire and the wire has room. Application code runs inside `Service.serve` and callbacks
of an Exchange, and nowhere else; any of them may come back into this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.engine import upgrade
from granian_d.engine.contract import NEVER
from granian_d.engine.pure import h1_answer
from granian_d.engine.pure.h1_body import Body, ChunkedBody, LengthBody, SecondOpinion
from granian_d.engine.pure.h1_exchange import H1Exchange
from granian_d.engine.pure.h1_head import HeadIntake, judge_head
from granian_d.engine.pure.h1_outflow import Outflow
from granian_d.engine.pure.h1_patience import Patience
from granian_d.errors import Disconnected, ProtocolViolation, RequestTimeout
from granian_d.http import semantics, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Endpoint, Leave, Service, Wire
    from granian_d.errors import RemoteError
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer
    from granian_d.plan import Limits

BUFFERED_BYTES: Final = 64 * 1024  # of a request body that the application has not pulled yet
PIPELINED_BYTES: Final = 64 * 1024  # of requests behind the one that is being answered
DISCARDED_BYTES: Final = 64 * 1024  # of a body nobody wants: more costs more than a connection


class H1Endpoint:
    """One connection; see engine.contract.Endpoint.

    Attributes:
        deadline: when `expire` wants to be called.
        peer: the two ends of the connection.
        observer: of the service.
    """

    __slots__ = (
        "_body",
        "_buffered_bytes",
        "_busy",
        "_clock",
        "_deaf",
        "_discard_bytes",
        "_eof",
        "_exchange",
        "_intake",
        "_limits",
        "_outflow",
        "_over",
        "_patience",
        "_service",
        "_terms",
        "_wire",
        "alt_svc",
        "deadline",
        "observer",
        "peer",
    )

    def __init__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock
    ) -> None:
        self.peer = peer
        self.observer = service.observer
        self._outflow = Outflow(wire, limits, clock)
        self._wire = wire
        self._service = service
        self._limits = limits
        self.alt_svc = limits.alt_svc
        self._clock = clock
        self._terms = service, limits, clock  # what another protocol is made with
        self._patience = Patience(limits, clock)
        self._intake = HeadIntake(limits.head_bytes)
        self._exchange: H1Exchange | None = None
        self._body: Body | None = None
        self._buffered_bytes = 0  # of the body, not pulled yet
        self._discard_bytes = 0  # of the body, that may still come without being wanted
        self._deaf = False  # what arrives is of no more use; what is being answered goes on
        self._eof = self._over = False
        self._busy = False
        self.deadline = self._patience.until_request()

    # --- fed by the transport ------------------------------------------------------------------

    def feed_data(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._over or self._deaf:
            return
        if self._body is not None:
            data = self._feed_body(self._body, data)
        if data and not self._over:
            if not len(self._intake):
                self._patience.head_begun()
            self._intake.append(data)
        self._proceed()

    def feed_eof(self) -> None:
        """The peer has closed its sending side."""
        if self._over:
            return
        self._eof = True
        if self._exchange is not None:
            self._tell_eof(self._exchange)
        self._proceed()

    def feed_lost(self) -> None:
        """The connection is gone in both directions."""
        self._leave()
        self._lose_exchange()

    def feed_room(self) -> None:
        """The wire's queue has fallen below its low-water mark."""
        if self._over:
            return
        self._outflow.feed_room()
        if self._exchange is None:
            self._patience.answer_taken()
        else:
            self._exchange.feed_room()
        self._proceed()

    def expire(self) -> None:
        """`deadline` may have passed."""
        now = self._clock.now
        if self._over or now < self.deadline:
            return
        if now >= self._outflow.deadline and self._outflow.stalled():
            self._leave()
            self._wire.abort()
            self._lose_exchange()
        elif now >= self._read_by():
            self._expire_read()
        self._proceed()

    def drain(self, leave: Leave) -> None:
        """Finish what is going on, start nothing new after it."""
        self._patience.drain(leave)
        self._proceed()

    def under_way(self, found: list[Exchange]) -> None:
        """The request that is being answered."""
        found += [self._exchange] if self._exchange is not None else ()

    # --- asked by the exchange -----------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Hand bytes to the wire; False when it has no room for more."""
        room = self._outflow.write(data)
        if not room:
            self._schedule()
        return room

    def may_persist(self, exchange: H1Exchange, whole: bool) -> bool:
        """Whether the connection may stay after this answer, as far as that can be known now.

        Args:
            exchange: it is about to write its head.
            whole: its body is complete too.
        """
        head = exchange.head
        if self._deaf or self._patience.draining or not self._limits.keep_alive:
            return False
        if not semantics.persists(head.version, head.fields):
            return False
        if self._eof and not len(self._intake):
            return False
        if self._body is None:
            return True
        if head.expects_continue and not exchange.continued and not self._begun(exchange):
            return False  # RFC 9110 10.1.1: whether the body will come is not known
        return not (whole and (self._body.left or 0) > DISCARDED_BYTES)

    def body_wanted(self, exchange: H1Exchange) -> None:
        """The application waits for more of the body."""
        if self._body is None or exchange is not self._exchange or self._over:
            return
        head = exchange.head
        if (
            head.expects_continue
            and not exchange.continued
            and not exchange.head_out
            and not self._begun(exchange)
        ):
            exchange.continued = True
            self.write(h1_answer.CONTINUE)
        self._patience.body_awaited()
        self._proceed()

    def part_taken(self, exchange: H1Exchange, count: int) -> None:
        """The application has pulled a part of the body."""
        if exchange is self._exchange:
            self._buffered_bytes -= count
            self._proceed()

    def answered(self, exchange: H1Exchange) -> None:
        """The whole answer has been handed to the wire."""
        self._exchange = None
        self._buffered_bytes = 0
        self._patience.answered()
        exchange.feed_room()  # a file that is being sent: there will be no other news
        self.observer.finished(exchange)
        body = self._body
        if body is not None:
            self._discard_bytes = DISCARDED_BYTES
            exchange.feed_error(Disconnected("the request has been answered"))
        if self._over:
            return
        if not exchange.persistent or self._deaf or (body and (body.left or 0) > DISCARDED_BYTES):
            self._finish()
        else:
            self._proceed()

    def reset(self, exchange: Exchange) -> None:
        """We or the application give up: the peer must not take the answer for complete."""
        assert exchange is self._exchange
        self._leave()
        self._wire.abort()
        self._lose_exchange()

    # --- requests ------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Begin what can begin, then derive what the wire is asked for."""
        if self._busy or self._over:
            return
        self._busy = True
        try:
            while self._idle() and self._begin():
                pass
            if self._eof and not self._over:
                self._close_after_eof()
        finally:
            self._busy = False
        if not self._over:
            self._mind_flow()
            self._schedule()

    def _idle(self) -> bool:
        """No request is under way, and the next one may begin."""
        return (
            self._exchange is None
            and self._body is None
            and self._outflow.room
            and not (self._over or self._deaf)
        )

    def _begin(self) -> bool:
        """Begin the next request, if its head is here."""
        try:
            raw = self._intake.take()
            if raw is None:
                return False
            head = judge_head(raw, self.peer.scheme, self._limits)
            opinion = SecondOpinion(raw.octets)
            protocol = upgrade.asked_for(head, self.peer.scheme, self._limits)
            offer = upgrade.judge_offer(head) if protocol == upgrade.WEBSOCKET else None
        except ProtocolViolation as violation:
            self._refuse(violation)
            return False
        if protocol == upgrade.H2C:
            h2 = upgrade.continue_as_h2("pure", head, self.peer, *self._terms)
            self.become(h1_answer.switching(protocol, ()), h2)
            return False
        exchange = self._exchange = H1Exchange(head, self)
        if head.content_length is None:
            self._body = ChunkedBody(opinion, self._limits)
        elif head.content_length:
            self._body = LengthBody(head.content_length)
        self.observer.began(exchange)
        if offer is None:
            self._serve(exchange)
        else:
            exchange.feed_end()
            upgrade.offer_session("pure", exchange, offer, *self._terms)
        return True

    def _serve(self, exchange: H1Exchange) -> None:
        """Give the request away, with as much of its body as is here."""
        fault: ProtocolViolation | None = None
        if self._body is None:
            exchange.feed_end()
        elif len(self._intake):
            rest, fault = self._read_body(self._body, self._intake.take_rest())
            self._intake.append(rest)
        self._service.serve(exchange)
        if fault is not None:
            self._break_body(fault, fault)
        elif self._eof and exchange is self._exchange:
            self._tell_eof(exchange)

    def become(self, answer: bytes, make: Callable[[Wire], Endpoint]) -> None:
        """Write `answer`, then leave the wire, and what has come over it, to another protocol."""
        rest = self._intake.take_rest()
        self._wire.write(answer)
        self._leave()
        self._exchange = None
        self._outflow.hold_peer(False)
        upgrade.hand_over(self._wire, make(self._wire), self._patience.leave, rest, self._eof)

    def _refuse(self, violation: ProtocolViolation) -> None:
        """Answer in place of the application, which has seen nothing."""
        answer, _ = h1_answer.refusal(violation, self._intake.method)
        self._wire.write(answer)
        self._finish()
        self.observer.refused(self.peer, violation)

    def _tell_eof(self, exchange: H1Exchange) -> None:
        """No more comes for a request that is being answered."""
        if self._body is not None:
            self._break_body(
                ProtocolViolation("the body is incomplete", "RFC 9112 8"),
                Disconnected("the peer closed the connection before the body was complete"),
            )
        exchange.feed_gone()

    def _close_after_eof(self) -> None:
        """All complete requests are answered; is there the beginning of another one?"""
        if self._exchange is not None or not self._outflow.room:
            return
        if self._body is None and len(self._intake):
            self._refuse(ProtocolViolation("the request is incomplete", "RFC 9112 8"))
        else:
            self._finish()

    # --- bodies --------------------------------------------------------------------------------

    def _feed_body(self, body: Body, data: bytes) -> bytes:
        """Read on in a body; returns what lies behind its end."""
        rest, fault = self._read_body(body, data)
        if fault is not None:
            self._break_body(fault, fault)
        return rest

    def _read_body(self, body: Body, data: bytes) -> tuple[bytes, ProtocolViolation | None]:
        try:
            rest = body.feed(data, self._give)
        except ProtocolViolation as violation:
            self._deaf = True
            return b"", violation
        if body.ended:
            self._body = None
            self._patience.body_came()
            if self._exchange is not None:
                self._exchange.feed_end()
        return rest, None

    def _give(self, part: bytes) -> None:
        """A part of the body, for the application or for nobody."""
        if self._exchange is not None:
            self._patience.body_came()
            self._buffered_bytes += len(part)
            self._exchange.feed(part)
        elif not self._over:
            self._discard_bytes -= len(part)
            if self._discard_bytes < 0:
                self._finish()

    def _break_body(self, violation: ProtocolViolation, error: RemoteError) -> None:
        """The body will never be complete: answer at once if nothing has been said yet."""
        self._deaf = True
        self._body = None
        self._patience.body_came()
        exchange = self._exchange
        if exchange is None:
            self._finish()
        elif exchange.state != states.AWAITED:
            exchange.feed_error(error)
        else:
            self._exchange = None
            answer, body_bytes = h1_answer.refusal(violation, exchange.head.method.encode())
            self._wire.write(answer)
            self._finish()
            exchange.overrule(violation, body_bytes, error)
            self.observer.refused(self.peer, violation)
            self.observer.finished(exchange)

    def _begun(self, exchange: H1Exchange) -> bool:
        """Some of the body has arrived, so the client does not wait."""
        return self._body is None or self._body.left != exchange.head.content_length

    # --- the wire ------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Write out the queue, then close."""
        if not self._over:
            self._leave()
            self._wire.finish()

    def _leave(self) -> None:
        """Nothing more is asked of the wire, and nothing is waited for."""
        self._over = True
        self._body = None
        self._intake.take_rest()
        self.deadline = NEVER

    def _lose_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lose()
            self.observer.finished(exchange)

    def _mind_flow(self) -> None:
        """Let the peer wait while there is more here than can be worked on."""
        pipelined = len(self._intake) > PIPELINED_BYTES and not self._idle()
        self._outflow.hold_peer(pipelined or self._buffered_bytes > BUFFERED_BYTES)

    # --- time ----------------------------------------------------------------------------------

    def _schedule(self) -> None:
        self.deadline = min(self._read_by(), self._outflow.deadline)

    def _read_by(self) -> float:
        """When the patience with what the peer should send ends."""
        patience = self._patience
        if self._exchange is not None:
            return patience.until_body()
        if self._body is not None:
            return patience.until_discarded()
        if not self._outflow.room:
            return NEVER
        return patience.until_head() if len(self._intake) else patience.until_request()

    def _expire_read(self) -> None:
        if self._exchange is not None:
            violation = RequestTimeout("the body did not arrive in time", "RFC 9110 15.5.9")
            self._break_body(violation, violation)
        elif self._body is None and len(self._intake):
            self._refuse(RequestTimeout("the head did not arrive in time", "RFC 9110 15.5.9"))
        else:
            self._finish()
