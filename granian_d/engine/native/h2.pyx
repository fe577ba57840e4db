"""One HTTP/2 connection in C: bytes in, an Exchange for each stream, bytes out (RFC 9113).

The rules are those of `engine.pure.h2`, its reference. Here are the connection's time and its end;
the rest of it is cut by what it is about, each part a class that the next one goes on from:

    h2_outflow     the sending half: one buffer, windows, whose turn it is
    h2_inflow      the reading half: octets to frames
    h2_requests    streams
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.string cimport memcmp

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.h2_answer cimport HeadWriter
from granian_d.engine.native.h2_frames cimport (
    CANCEL,
    FIRST_WINDOW,
    MOST_WINDOW,
    NO_ERROR,
    RST_STREAM,
)
from granian_d.engine.native.h2_head cimport Wishes, read_wishes
from granian_d.engine.native.h2_inflow cimport UNREAD_ANSWERS
from granian_d.engine.native.h2_outflow cimport bounds_of
from granian_d.engine.native.hpack cimport Decoder
from granian_d.engine.native.wire cimport native_wire
from granian_d.http.exchange cimport Observer
from granian_d.http.message cimport Peer, RequestHead

from granian_d.engine.pure import h2_patience
from granian_d.engine.upgrade import EARLY_BYTES
from granian_d.errors import Disconnected, ProtocolViolation, RequestTimeout
from granian_d.http.fields import values

cdef enum:
    AWAITED = 0  # a constant of http.states; checked in h2_exchange.pyx
    RESET_BY_US = 3  # as in h2_requests

# Payloads of PING, by which an ACK says what it answers.
cdef const char* ALIVE = b"alive?  "
cdef const char* PARTING = b"parting "

# For the ack of the PING that goes with the first GOAWAY: far beyond a round trip.
cdef double PARTING_S = h2_patience.PARTING_S
cdef double LINGER_S = h2_patience.LINGER_S


cdef class H2Endpoint(H2Requests):
    """One connection; see engine.contract.Endpoint."""

    def __init__(self, wire, Peer peer, service, limits, Clock clock not None):
        self.peer = peer
        self.observer = service.observer
        self.counter = self.observer if isinstance(self.observer, Observer) else None
        self.bounds = bounds_of(limits)
        self.clock = clock
        self.wire = native_wire(wire)
        self.heads = HeadWriter()
        self.streams = {}
        self.waiting = []
        self.room = True
        self.window = self.first_window = FIRST_WINDOW
        self._service = service
        self._serve_it = service.serve
        self._decoder = Decoder()
        self._closed = {}
        self._early = {}
        self._left = self._connection_target = self.bounds.connection_window
        self._stream_target = self._first_recv = self.bounds.stream_window
        self.heard_at = self._idle_since = self.window_moved_at = clock.now
        self._counted_since = clock.now
        self.block_since = self._part_at = self._pinged_at = INFINITY
        self.write_deadline = self.stream_deadline = INFINITY
        self.schedule()

    # --- fed by the transport ------------------------------------------------------------------

    cpdef feed_eof(self):
        """The peer has closed its sending side: what it has sent whole is answered."""
        cdef H2Exchange exchange
        if self.over:
            return
        self._eof = True
        self.batch += 1
        try:
            for exchange in list(self.streams.values()):
                if exchange.closed:
                    continue
                if exchange.tunnelled is not None:
                    if not (exchange.ends or exchange.remote_ended):
                        exchange.tunnelled.feed_eof()
                    continue
                if exchange.has_body:
                    exchange.has_body = False
                    exchange.body_since = INFINITY
                    exchange.feed_error(
                        Disconnected("the peer closed the connection before the body was complete")
                    )
                exchange.feed_gone()
        finally:
            self.batch -= 1
        self.settle()

    cpdef feed_lost(self):
        """The connection is gone in both directions."""
        self._leave()
        self._lose_all()

    cpdef feed_room(self):
        """The wire's queue has fallen below its low-water mark."""
        if self.over:
            return
        self.room = True
        self.write_deadline = INFINITY
        self._counts[UNREAD_ANSWERS] = 0
        self.window_moved_at = self.clock.now
        self.stream_deadline = min(self.stream_deadline, self.clock.now + self.bounds.write_s)
        self.settle()

    cpdef drain(self, leave):
        """Finish what is going on, start nothing new after it (RFC 9113 6.8)."""
        cdef H2Exchange exchange
        if self.over:
            return
        self.batch += 1
        try:
            if self._terms is None and not self._deaf:
                self.greet()
                self.goaway(MOST_WINDOW, NO_ERROR)
                self.send_ping(0, PARTING)
                self._parting_since = self.clock.now
            self._terms = leave
            if not self._deaf:
                self._part_at = self._parting_since + min(<double>leave.idle_s, PARTING_S)
            for exchange in list(self.streams.values()):
                if exchange.tunnelled is not None:
                    exchange.tunnelled.drain(leave)
            if leave.idle_s <= 0:
                self.part()
        finally:
            self.batch -= 1
        self.settle()

    cpdef under_way(self, list found):
        """The requests on all streams."""
        cdef H2Exchange exchange
        for exchange in self.streams.values():
            if not exchange.hidden:
                found.append(exchange)

    cpdef reset(self, exchange):
        """Cut the stream of one of them."""
        self.cut(exchange, CANCEL)

    # --- the end of the connection -------------------------------------------------------------

    cdef int on_ack(self, const char* payload) except -1:
        if memcmp(payload, PARTING, 8) == 0:
            if self._terms is not None:
                self.part()
        elif memcmp(payload, ALIVE, 8) == 0:
            self._pinged_at = INFINITY
        else:
            self.measured(payload)
        return 0

    cdef int on_goaway(self) except -1:
        self._peer_leaves = True
        return 0

    cdef int part(self) except -1:
        """Say that no stream is looked at after those that have begun."""
        if not self._deaf:
            self._deaf = True
            self._part_at = INFINITY
            self.greet()
            self.goaway(self._last_served, NO_ERROR)
        return 0

    cdef int break_off(self, violation) except -1:
        if self.over:
            return 0
        if self._preface_read:
            if self.waiting:
                self._pump()  # what was answered before the fault, as far as it may go out
            self.goaway(self._last_served, violation.h2_code)
        self._finish()
        self._lose_all()
        self.observer.refused(self.peer, violation)
        return 0

    cdef int conclude(self) except -1:
        if not self.streams and (self._deaf or self._peer_leaves or self._eof):
            if self._preface_read:
                self.part()
            return self._finish()
        return self.schedule()

    cdef int _finish(self) except -1:
        """Write out the queue, then close."""
        if not self.over:
            self.flush()
            self._leave()
            self.wire.finish()
        return 0

    cdef int _leave(self) except -1:
        """Nothing more is asked of the wire, and nothing is waited for."""
        self.over = True
        self._held = None
        self._block = None
        self.deadline = INFINITY
        return 0

    cdef int _lose_all(self) except -1:
        cdef H2Exchange exchange
        streams, self.streams = self.streams, {}
        del self.waiting[:]
        for exchange in streams.values():
            exchange.closed = True
            exchange.waits = False
        for exchange in streams.values():
            self.lose_stream(exchange, None)
        return 0

    # --- time ----------------------------------------------------------------------------------

    cdef int schedule(self) except -1:
        cdef double by = min(self.write_deadline, self._part_at)
        if self.streams:
            by = min(by, self.stream_deadline)
        else:
            by = min(by, self._idle_since + self.bounds.idle_s)
        if not self.settled:
            by = min(by, self._idle_since + self.bounds.head_s)
        if self._block_number:
            by = min(by, self.block_since + self.bounds.head_s)
        # A tunnel's deadline may change at any moment: they are looked at every tick.
        self.deadline = -INFINITY if self.tunnels else min(by, self._ping_at())
        return 0

    cdef double _ping_at(self) noexcept:
        """When a PING is due, or its ack overdue."""
        if self._pinged_at != INFINITY:
            return self._pinged_at + self.bounds.pong_s
        return self.heard_at + self.bounds.ping_s

    cpdef expire(self):
        """`deadline` may have passed."""
        cdef double now = self.clock.now
        if self.over or now < self.deadline:
            return
        if (now >= self.write_deadline and self.stalled()) or (
            self._pinged_at != INFINITY and now >= self._ping_at()
        ):
            self._leave()
            self.wire.abort()
            self._lose_all()
            return
        self.batch += 1
        try:
            self._expire(now)
        except ProtocolViolation as violation:
            self.break_off(violation)
        finally:
            self.batch -= 1
        self.settle()

    cdef int _expire(self, double now) except -1:
        if self._block_number and now >= self.block_since + self.bounds.head_s:
            raise RequestTimeout("a head did not arrive in time", "RFC 9110 15.5.9")
        if not self.settled and now >= self._idle_since + self.bounds.head_s:
            return self._finish()  # without a word: it has not even greeted
        if self._pinged_at == INFINITY and now >= self._ping_at():
            self.greet()
            self._pinged_at = now
            self.send_ping(0, ALIVE)
        if now >= self._part_at:
            self.part()
        if self.streams:
            if self.tunnels or now >= self.stream_deadline:
                self._expire_streams(now)
        elif now >= self._idle_since + self.bounds.idle_s:
            self.part()  # which is the end where there is no stream
        return 0

    cdef int _expire_streams(self, double now) except -1:
        """End those whose patience is at its end, and find out when the next one's is."""
        cdef H2Exchange exchange
        self.stream_deadline = INFINITY
        for exchange in list(self.streams.values()):
            if exchange.closed:
                continue
            if now >= self.stalls_at(exchange):
                self.cut(exchange, CANCEL)
                continue
            if now >= self._body_by(exchange):
                self._expire_body(exchange)
            if exchange.closed:
                continue
            if exchange.tunnelled is not None and now >= exchange.tunnelled.due():
                exchange.tunnelled.expire()
            if not exchange.closed:
                self._await_stream(exchange)
        return 0

    cdef double _body_by(self, H2Exchange exchange) noexcept:
        """When the peer must have sent more on a stream; in a tunnel that we have ended: its end."""
        cdef bint tunnel = exchange.tunnelled is not None
        return exchange.body_since + (LINGER_S if tunnel else self.bounds.body_s)

    cdef int _expire_body(self, H2Exchange exchange) except -1:
        violation = RequestTimeout("the body did not arrive in time", "RFC 9110 15.5.9")
        cdef bint tunnel = exchange.tunnelled is not None
        if exchange.state == AWAITED:
            return self.break_body(exchange, violation)
        self.frame_32(RST_STREAM, exchange.number, NO_ERROR if tunnel else CANCEL)
        self.close_stream(exchange, RESET_BY_US)
        return self.lose_stream(exchange, violation)

    cdef int _await_stream(self, H2Exchange exchange) except -1:
        cdef double by = min(self.stalls_at(exchange), self._body_by(exchange))
        self.stream_deadline = min(self.stream_deadline, by)
        return 0


def upgraded(wire, Peer peer, service, limits, Clock clock not None, RequestHead head, settings):
    """The endpoint of a connection that HTTP/1.1 has handed over (RFC 7540 3.2).

    Args:
        head: of the request that asked for it; it is stream 1, and has no body.
        settings: the payload of a SETTINGS frame, from HTTP2-Settings.

    Raises:
        ProtocolViolation: the settings are not good; nothing was written.
    """
    cdef H2Endpoint endpoint = H2Endpoint(wire, peer, service, limits, clock)
    cdef H2Exchange exchange
    cdef Wishes wishes
    endpoint.apply_settings(PyBytes_AS_STRING(settings), PyBytes_GET_SIZE(settings))
    endpoint.kept_back = FIRST_WINDOW - EARLY_BYTES
    endpoint.window -= endpoint.kept_back
    endpoint.batch += 1
    try:
        endpoint.greet()
        exchange = H2Exchange.__new__(H2Exchange)
        exchange.prepare(endpoint, 1)
        exchange.head = head
        exchange.remote_ended = exchange._ended = True
        exchange._head_request = head.method == "HEAD"
        head.version = "2"
        endpoint.last_number = endpoint._last_served = 1
        endpoint.streams[1] = exchange
        read_wishes(b",".join(values(head.fields, b"priority")), &wishes)
        exchange.urgency = wishes.urgency
        exchange.incremental = wishes.incremental
        endpoint.observer.began(exchange)
        service.serve(exchange)
    finally:
        endpoint.batch -= 1
    endpoint.settle()
    return endpoint
