"""The endpoint of one HTTP/2 connection: octets in, Exchanges on streams, octets out (RFC 9113).

Rules of this file: no I/O and no clock of its own; every call from outside ends in `proceed`, which
sends what may be sent, wakes who waits for room, ends the connection if nothing is left for it, and
then derives anew when `expire` wants to be called.

    h2_frames      octets -> frames, judged by their form
    h2_reception   frames on streams -> requests, bodies
    h2_requests    streams, and the exchanges on them
    h2_sender      answers -> frames, in turn
    h2_ledger      the library: a second opinion on all that comes, the writer of all that goes

Here: frames on the connection, time, and the end. Application code runs inside `Service.serve` and
the callbacks of an Exchange, and may come back into this file at any of these moments.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from granian_d.engine.contract import NEVER
from granian_d.engine.pure import h2_frames
from granian_d.engine.pure.h1_outflow import Outflow
from granian_d.engine.pure.h2_attacks import UNKNOWN, UNREAD_ANSWERS, Watch
from granian_d.engine.pure.h2_frames import FrameIntake
from granian_d.engine.pure.h2_growth import Growth
from granian_d.engine.pure.h2_ledger import DEFAULT_WINDOW_BYTES, Ledger
from granian_d.engine.pure.h2_patience import Patience
from granian_d.engine.pure.h2_reception import Reception
from granian_d.engine.pure.h2_requests import NO_ERROR, Requests
from granian_d.engine.pure.h2_sender import Sender
from granian_d.engine.pure.priority import parse_priority
from granian_d.engine.upgrade import EARLY_BYTES
from granian_d.errors import (
    FlowControlBroken,
    FrameSizeWrong,
    ProtocolViolation,
    RequestTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.engine.contract import Clock, Leave, Service, Wire
    from granian_d.engine.pure.h2_frames import Frame
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Peer, RequestHead
    from granian_d.plan import Limits

# Opaque data of our PINGs: what their acks are about.
_ALIVE: Final = b"alive?  "
_PARTING: Final = b"parting "
_ROUND_TRIP: Final = b"measure "


class H2Endpoint:
    """One connection; see engine.contract.Endpoint.

    Attributes:
        over: finish or abort was asked of the wire, or it is lost.
    """

    __slots__ = (
        "_busy",
        "_clock",
        "_deadline",
        "_eof",
        "_greeted",
        "_growth",
        "_intake",
        "_ledger",
        "_limits",
        "_outflow",
        "_patience",
        "_peer_leaves",
        "_reception",
        "_requests",
        "_sender",
        "_watch",
        "_wire",
        "over",
    )

    def __init__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock
    ) -> None:
        self._wire = wire
        self._limits = limits
        self._clock = clock
        self._intake = FrameIntake(limits)
        self._ledger = Ledger(limits)
        self._outflow = Outflow(wire, limits, clock)
        self._watch = Watch(clock)
        self._patience = Patience(limits, clock)
        self._growth = Growth(limits)
        self._sender = Sender(self._ledger, self._outflow, self._watch, clock)
        terms = service, limits, clock
        self._requests = Requests(self, self._ledger, self._sender, self._watch, peer, terms)
        self._reception = Reception(self._requests, self._ledger, self._watch, terms)
        self._greeted = False  # our SETTINGS have been written
        self._peer_leaves = False
        self._eof = False
        self.over = False
        self._busy = False
        self._deadline = self._patience.until_greeted()

    @property
    def deadline(self) -> float:
        """When `expire` wants to be called; tunnels change theirs without telling."""
        return min(self._deadline, self._requests.until_tunnels())

    # --- fed by the transport ------------------------------------------------------------------

    def feed_data(self, data: bytes) -> None:
        """Octets have arrived."""
        if self.over:
            return
        self._patience.heard()
        self._intake.append(data)
        self.proceed(self._read)

    def feed_eof(self) -> None:
        """The peer has closed its sending side: what was asked for is still answered."""
        if not self.over:
            self._eof = True
            self.proceed(self._requests.feed_eof)

    def feed_lost(self) -> None:
        """The connection is gone in both directions."""
        self._leave()
        self._requests.lose()

    def feed_room(self) -> None:
        """The wire's queue has fallen below its low-water mark."""
        if not self.over:
            self._outflow.feed_room()
            self._watch.forget(UNREAD_ANSWERS)
            self.proceed()

    def expire(self) -> None:
        """`deadline` may have passed."""
        if not self.over and self._clock.now >= self.deadline:
            self.proceed(self._expire)

    def drain(self, leave: Leave) -> None:
        """Finish what is going on, start nothing new: GOAWAY in two steps (RFC 9113 6.8)."""
        if self.over:
            return
        first = self._patience.leave is None
        self._patience.part(leave)
        if first and not self._requests.deaf:
            self.greet()
            self._ledger.go_away(h2_frames.MOST, NO_ERROR)
            self._ledger.ping(_PARTING)
        self._requests.drain(leave)
        if leave.idle_s <= 0:
            self.depart()
        self.proceed()

    def under_way(self, found: list[Exchange]) -> None:
        """The requests on all streams."""
        self._requests.under_way(found)

    def reset(self, exchange: Exchange) -> None:
        """Cut the stream of one of them (RFC 9113 8.1: CANCEL)."""
        self._requests.reset(exchange)

    def take_over(self, head: RequestHead, settings: dict[int, int], service: Service) -> None:
        """Begin as if `head` had come as stream 1, behind `settings` (RFC 7540 3.2)."""
        self._ledger.take_settings(settings, acknowledge=False)
        self.greet()
        self._ledger.open(1, ended=True)
        self._ledger.kept_back_bytes = DEFAULT_WINDOW_BYTES - EARLY_BYTES
        if not self._limits.keep_alive:
            self._requests.begun = 1
            self.depart()
        exchange = self._requests.begin(1, head, ended=True)
        self.proceed(partial(service.serve, exchange))

    # --- asked by the streams ------------------------------------------------------------------

    @property
    def leave(self) -> Leave | None:
        """The terms of the drain, once it was ordered."""
        return self._patience.leave

    def answered(self) -> None:
        """We had to write something because of what the peer has sent.

        Raises:
            PeerTooBusy: it has us do so without reading it.
        """
        if not self._outflow.room:
            self._watch.count(UNREAD_ANSWERS)

    def received(self, count: int) -> None:
        """So much of bodies has come: perhaps the windows are too small for the way it takes."""
        if self._growth.received(count):
            self._ledger.ping(_ROUND_TRIP)

    def closed(self) -> None:
        """A stream is no more."""
        if not self._requests.open:
            self._patience.idle()

    def depart(self) -> None:
        """Say that no stream is looked at after those that have begun."""
        if not self._requests.deaf:
            self._requests.deaf = True
            self.greet()
            self._ledger.go_away(self._requests.begun, NO_ERROR)

    def proceed(self, step: Callable[[], None] | None = None) -> None:
        """Do `step`, then all that can be done; called within one of them, it leaves it to that."""
        if self._busy or self.over:
            return
        self._busy = True
        try:
            if step is not None:
                step()
            while not self.over:
                self._sender.pump(self._requests.sent)
                if not self._requests.wake():
                    break
            if not self.over and self._is_done():
                self._finish()
        finally:
            self._busy = False
        if not self.over:
            self._schedule()

    # --- frames of the peer --------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while not self.over:
                frame = self._intake.take()
                if self._intake.begun:
                    self._ledger.kept_back_bytes = 0
                    self.greet()
                if frame is None:
                    break
                self._receive(frame)
        except ProtocolViolation as violation:
            self._condemn(violation)
        self._patience.section(self._intake.section is not None)

    def greet(self) -> None:
        """Send the server's preface, if that was not done yet (RFC 9113 3.4)."""
        if not self._greeted:
            self._greeted = True
            self._ledger.greet(self._limits)

    def _receive(self, frame: Frame) -> None:
        match frame.kind:
            case h2_frames.SETTINGS:
                self._receive_settings(frame)
            case h2_frames.PING:
                self._receive_ping(frame)
            case h2_frames.GOAWAY:
                self._receive_goaway(frame)
            case h2_frames.WINDOW_UPDATE if not frame.stream_id:
                self._receive_window(frame)
            case h2_frames.PRIORITY:
                self._receive_priority(frame)
            case h2_frames.PRIORITY_UPDATE:
                self._receive_priority_update(frame)
            case kind if kind in h2_frames.FORMS:
                self._reception.receive(frame)
            case _:
                self._watch.count(UNKNOWN)

    def _receive_settings(self, frame: Frame) -> None:
        self._watch.count(frame.kind)
        if frame.flags & h2_frames.ACK:
            self._ledger.take(frame.kind, h2_frames.ACK, 0)
        else:
            self._ledger.take_settings(h2_frames.judge_settings(frame.payload))
            self.answered()

    def _receive_ping(self, frame: Frame) -> None:
        self._watch.count(frame.kind)
        if not frame.flags & h2_frames.ACK:
            self._ledger.take(frame.kind, 0, 0, frame.payload)  # which writes the ack
            self.answered()
        elif frame.payload == _ALIVE:
            self._patience.pinged = False
        elif frame.payload == _PARTING and self._patience.leave is not None:
            self.depart()
        elif frame.payload == _ROUND_TRIP:
            grown = self._growth.measured()
            if grown is not None:
                self._ledger.grow(*grown)

    def _receive_goaway(self, frame: Frame) -> None:
        """The peer will open no stream any more; those that are open go on."""
        self._watch.count(frame.kind)
        self._peer_leaves = True

    def _receive_window(self, frame: Frame) -> None:
        self._watch.count(frame.kind)
        increment = int.from_bytes(frame.payload, "big") & h2_frames.MOST
        if not increment:
            raise ProtocolViolation("a WINDOW_UPDATE of 0", "RFC 9113 6.9")
        if self._ledger.outbound_flow_control_window + increment > h2_frames.MOST:
            raise FlowControlBroken("a window beyond measure", "RFC 9113 6.9.1")
        self._ledger.take(frame.kind, 0, 0, increment.to_bytes(4, "big"))

    def _receive_priority(self, frame: Frame) -> None:
        """The dependencies of RFC 7540 are judged and not heard (RFC 9113 5.3.2, 6.3)."""
        self._watch.count(frame.kind)
        if len(frame.payload) != 5:
            fault: ProtocolViolation = FrameSizeWrong("a PRIORITY not of 5 octets", "RFC 9113 6.3")
        elif int.from_bytes(frame.payload[:4], "big") & h2_frames.MOST == frame.stream_id:
            fault = ProtocolViolation("a stream that depends on itself", "RFC 9113 5.3.1")
        else:
            return
        stream = self._requests.open.get(frame.stream_id)
        if stream is None:
            raise fault
        self._requests.offend(stream, fault)

    def _receive_priority_update(self, frame: Frame) -> None:
        """RFC 9218 7.1."""
        self._watch.count(frame.kind)
        stream_id = int.from_bytes(frame.payload[:4], "big") & h2_frames.MOST
        if stream_id % 2 == 0:
            raise ProtocolViolation("a priority of no request", "RFC 9218 7.1")
        priority = parse_priority(frame.payload[4:])
        stream = self._requests.open.get(stream_id)
        if stream is not None:
            stream.urgency, stream.incremental = priority
        elif stream_id > self._requests.highest:
            self._requests.wishes.keep(stream_id, priority)

    # --- time ----------------------------------------------------------------------------------

    def _schedule(self) -> None:
        patience = self._patience
        until = [self._outflow.deadline, patience.until_section(), patience.until_ping()]
        if not self._intake.greeted:
            until.append(patience.until_greeted())
        if self._requests.open:
            until.append(self._requests.until())
        else:
            until.append(patience.until_idle())
        if patience.leave is not None and not self._requests.deaf:
            until.append(patience.until_parted())
        self._deadline = min(until)

    def _expire(self) -> None:
        now, patience = self._clock.now, self._patience
        if now >= self._outflow.deadline and self._outflow.stalled():
            self._abort()
        elif now >= patience.until_section():
            self._condemn(RequestTimeout("a head did not arrive in time", "RFC 9110 15.5.9"))
        elif not self._intake.greeted and now >= patience.until_greeted():
            self._end()  # without a word: it has not even greeted
        elif now >= patience.until_ping():
            if patience.pinged:
                self._abort()
            else:
                self.greet()
                self._ledger.ping(_ALIVE)
                patience.ping()
        elif patience.leave is not None and now >= patience.until_parted():
            self.depart()
        if not self.over and self._requests.open:
            self._requests.expire()
        elif not self.over and now >= patience.until_idle():
            self.depart()  # which is the end where there is no stream

    # --- the end -------------------------------------------------------------------------------

    def _is_done(self) -> bool:
        """Nothing is under way, and nothing will be."""
        if self._requests.open:
            return False
        return self._requests.deaf or self._peer_leaves or self._eof

    def _finish(self) -> None:
        """Say so, write out the queue, then close."""
        if self._intake.begun:
            self.depart()
        self._end()

    def _end(self) -> None:
        self._sender.flush()
        self._leave()
        self._wire.finish()
        self._requests.lose()

    def _condemn(self, violation: ProtocolViolation) -> None:
        """A connection error (RFC 9113 5.4.1)."""
        if self._ledger.is_sound:
            self._sender.pump(self._requests.sent)  # what was answered before it
        if self._intake.begun:
            self.greet()
            self._ledger.go_away(self._requests.begun, violation.h2_code)
        self._end()
        self._requests.observer.refused(self._requests.peer, violation)

    def _abort(self) -> None:
        self._leave()
        self._wire.abort()
        self._requests.lose()

    def _leave(self) -> None:
        """Nothing more is asked of the wire, and nothing is waited for."""
        self.over = True
        self._intake.clear()
        self._deadline = NEVER


def upgraded(
    wire: Wire,
    peer: Peer,
    service: Service,
    limits: Limits,
    clock: Clock,
    head: RequestHead,
    settings: bytes,
) -> H2Endpoint:
    """The endpoint that goes on behind a 101, with `head` as stream 1 (RFC 7540 3.2).

    Raises:
        ProtocolViolation: `settings` is no payload of SETTINGS; nothing was written.
    """
    endpoint = H2Endpoint(wire, peer, service, limits, clock)
    endpoint.take_over(head, h2_frames.judge_settings(settings), service)
    return endpoint
