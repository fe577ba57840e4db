"""The streams of an HTTP/2 connection: requests, their bodies, and how they end (RFC 9113 5, 8).

A stream is in `streams` from its HEADERS until both directions have ended or it was reset. How it
was closed is remembered for a while: the peer may have sent more before it knew (5.1).

A field block that is equal, octet for octet, to the last one and leaves the decoder's table as it
was means the same: it is not read again.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.string cimport memcmp

from granian_d.engine.native.h2_frames cimport (
    END_STREAM,
    HEAD_BYTES,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    write_head,
    write_setting,
)
from granian_d.engine.native.h2_head cimport make_head, read_wishes, same_head
from granian_d.engine.native.h2_inflow cimport EMPTY_DATA, RESETS, SELF_DEPENDENT

from granian_d.engine import upgrade
from granian_d.errors import (
    BodyTooLarge,
    CompressionBroken,
    Disconnected,
    FlowControlBroken,
    PeerTooBusy,
    ProtocolViolation,
    StreamIsClosed,
    StreamRefused,
)
from granian_d.http.fields import values
from granian_d.http.handshake import judge_handshake
from granian_d.http.pseudo import check_trailers, judge_request

cdef enum:
    AWAITED = 0  # a constant of http.states; checked in h2_exchange.pyx
    BAD_REQUEST = 400  # a malformed message: its stream is reset (RFC 9113 8.1.1)
    # How a stream was closed
    ENDED = 1  # by END_STREAM of both sides
    RESET_BY_PEER = 2
    RESET_BY_US = 3  # or never looked at: what is still under way is passed over
    MOST_EARLY = 100  # priorities that are kept for streams to come
    ENTRY_BYTES = 32  # that a field counts beyond its octets (RFC 9113 6.5.2)
    BOMB_FACTOR = 4  # times what a section may have: so far we go on decoding what is refused
    REMEMBERED_BYTES = 1024  # of a field block: longer ones are rarely the same
    MOST_ADAPTED = 1 << 24  # a window that grows by itself ends at 16 MiB

# The payload of the PING whose ACK ends a round trip.
cdef const char* ROUND_TRIP = b"measure "


cdef class H2Requests(H2Inflow):
    """What an endpoint of HTTP/2 does with streams."""

    # --- requests ------------------------------------------------------------------------------

    cdef int on_fields(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size
    ) except -1:
        cdef H2Exchange exchange
        if number > self.last_number:
            return self._begin(number, flags, data, size)
        exchange = self.streams.get(number)
        if exchange is not None:
            return self._read_trailers(exchange, flags, data, size)
        self._drop_block(data, size)
        if self.begun[number // 2 % REMEMBERED_STREAMS] != number:
            raise ProtocolViolation("a stream number used before", "RFC 9113 5.1.1")
        return self._on_closed(number)

    cdef int _on_closed(self, unsigned int number) except -1:
        """What an honest peer could not know when it sent it is passed over (RFC 9113 5.1)."""
        cdef int how = self._closed.get(number, ENDED)
        if how == ENDED:
            raise StreamIsClosed("a frame on a closed stream", "RFC 9113 5.1")
        if how == RESET_BY_PEER:
            return self.on_stream_fault(
                number, StreamIsClosed("a frame on a stream that was reset", "RFC 9113 5.1")
            )
        return 0

    cdef int _drop_block(self, const char* data, Py_ssize_t size) except -1:
        """Read a block for the sake of the table alone (RFC 9113 4.3)."""
        self._decoder.read(
            <const unsigned char*>data, size, BOMB_FACTOR * self.bounds.fields_bytes
        )
        self._decoder.fields = None
        return 0

    cdef int _begin(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size
    ) except -1:
        """Begin a stream."""
        cdef H2Exchange exchange
        cdef bint ended = flags & END_STREAM
        violation = None
        if self._deaf or flags & SELF_DEPENDENT or len(self.streams) >= self.bounds.streams:
            self.last_number = self.begun[number // 2 % REMEMBERED_STREAMS] = number
            self._drop_block(data, size)
            return self._pass_over(number, flags)
        exchange = H2Exchange.__new__(H2Exchange)
        exchange.prepare(self, number)
        exchange.recv_window = self._first_recv
        exchange.remote_ended = exchange._ended = ended
        try:
            exchange.head = self._read_head(exchange, ended, data, size)
        except (CompressionBroken, PeerTooBusy):
            raise
        except ProtocolViolation as fault:
            violation = fault
        self.last_number = self._last_served = number
        self.begun[number // 2 % REMEMBERED_STREAMS] = number
        self.moved = True
        if not self.bounds.keep_alive:
            self.part()
        if violation is not None:
            return self._refuse(exchange, violation)
        self.streams[number] = exchange
        exchange.has_body = not ended
        if not ended and exchange.head.content_length is not None:
            exchange.body_left = exchange.head.content_length
        if self._early and number in self._early:
            exchange.urgency, exchange.incremental = self._early.pop(number)
        if self.counter is not None:
            self.counter.began(exchange)
        else:
            self.observer.began(exchange)
        if exchange.head.protocol:
            return self._converse(exchange)
        self._serve_it(exchange)
        return 0

    cdef int _pass_over(self, unsigned int number, int flags) except -1:
        """A stream that does not begin."""
        if self._deaf:
            return self.remember(number, RESET_BY_US)
        self.moved = True
        if flags & SELF_DEPENDENT:
            violation = ProtocolViolation("a stream that depends on itself", "RFC 9113 5.3.1")
        else:
            violation = StreamRefused("too many streams", "RFC 9113 5.1.2")
        return self.on_stream_fault(number, violation)

    cdef RequestHead _read_head(
        self, H2Exchange exchange, bint ended, const char* data, Py_ssize_t size
    ):
        """The head in a block; of one that is the same as the last one it is known."""
        cdef Decoder decoder = self._decoder
        cdef RequestHead head
        cdef Wishes wishes
        cdef unsigned long long changes
        if (
            self._known_block is not None
            and PyBytes_GET_SIZE(self._known_block) == size
            and self._known_changes == decoder.changes
            and self._known_ended == ended
            and memcmp(PyBytes_AS_STRING(self._known_block), data, size) == 0
        ):
            head = same_head(self._known_head)
            wishes = self._known_wishes
        else:
            changes = decoder.changes
            decoder.read(
                <const unsigned char*>data, size, BOMB_FACTOR * self.bounds.fields_bytes
            )
            wishes.urgency, wishes.incremental = 3, False
            head = self._judge(exchange, ended, &wishes)
            if changes == decoder.changes and size <= REMEMBERED_BYTES and not head.protocol:
                self._known_block = PyBytes_FromStringAndSize(data, size)
                self._known_head = head
                self._known_wishes = wishes
                self._known_ended = ended
                self._known_changes = changes
            else:
                self._known_block = None
            decoder.fields = None
        exchange.urgency = wishes.urgency
        exchange.incremental = wishes.incremental
        if wishes.incremental or wishes.urgency != 3:
            self.ordered = True
        exchange._head_request = len(head.method) == 4 and head.method == "HEAD"
        return head

    cdef RequestHead _judge(self, H2Exchange exchange, bint ended, Wishes* wishes):
        """The head that was decoded, by our judgement or the reference's."""
        cdef RequestHead head
        cdef list fields = self._decoder.fields
        exchange._head_request = (b":method", b"HEAD") in fields[:4]
        head = None
        if self._decoder.octets <= self.bounds.head_bytes and (
            self._decoder.octets + ENTRY_BYTES * self._decoder.lines <= self.bounds.fields_bytes
        ):
            head = make_head(
                self._decoder, ended, self.bounds.head_fields, self.bounds.body_bytes, wishes
            )
        if head is None:
            head = judge_request(fields, ended, self.bounds.limits)
            if head.protocol:
                exchange.offer = judge_handshake(head)
            read_wishes(b",".join(values(head.fields, b"priority")), wishes)
        return head

    cdef int _converse(self, H2Exchange exchange) except -1:
        """Give a request for a WebSocket away (RFC 8441)."""
        offer, exchange.offer = exchange.offer, None
        upgrade.offer_session(
            "native", exchange, offer, self._service, self.bounds.limits, self.clock
        )
        return 0

    cdef int _refuse(self, H2Exchange exchange, violation) except -1:
        """Answer a request that the application does not see, or reset its stream."""
        if violation.http_status == BAD_REQUEST:
            return self.on_stream_fault(exchange.number, violation)
        exchange.hidden = exchange.deaf = True
        self.streams[exchange.number] = exchange
        exchange.reply(violation)
        self.observer.refused(self.peer, violation)
        return 0

    # --- bodies --------------------------------------------------------------------------------

    cdef int _read_trailers(
        self, H2Exchange exchange, int flags, const char* data, Py_ssize_t size
    ) except -1:
        """The end of a body; what is said there is checked and dropped (RFC 9113 8.1)."""
        self._decoder.read(
            <const unsigned char*>data, size, BOMB_FACTOR * self.bounds.fields_bytes
        )
        fields = self._decoder.fields
        try:
            if exchange.remote_ended:
                raise StreamIsClosed("HEADERS on an ended stream", "RFC 9113 5.1")
            if not flags & END_STREAM:
                raise ProtocolViolation("a second section that ends nothing", "RFC 9113 8.1")
            if flags & SELF_DEPENDENT:
                raise ProtocolViolation("a stream that depends on itself", "RFC 9113 5.3.1")
            if exchange.tunnelled is not None:
                raise ProtocolViolation("trailers in a tunnel", "RFC 9113 8.5")
            if exchange.body_left > 0:
                raise ProtocolViolation("a body shorter than Content-Length", "RFC 9113 8.1.1")
            check_trailers(fields)
        except ProtocolViolation as violation:
            return self.on_stream_fault(exchange.number, violation)
        return self._end_body(exchange)

    cdef int on_data(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size, Py_ssize_t padding
    ) except -1:
        cdef H2Exchange exchange
        cdef Py_ssize_t whole = size + padding
        cdef bint ended = flags & END_STREAM
        self.check_begun(number)
        if whole > self._left:
            raise FlowControlBroken("more data than the connection's window", "RFC 9113 6.9.1")
        self._left -= whole
        exchange = self.streams.get(number)
        if exchange is None:
            self._credit_connection(whole)
            return self._on_closed(number)
        if exchange.remote_ended:
            self._credit_connection(whole)
            return self.on_stream_fault(
                number, StreamIsClosed("DATA on an ended stream", "RFC 9113 5.1")
            )
        if size or ended:
            self._counts[EMPTY_DATA] = 0
            self.moved = True
        else:
            self.count(EMPTY_DATA)
        if whole > exchange.recv_window:
            raise FlowControlBroken("more data than the stream's window", "RFC 9113 6.9.1")
        exchange.recv_window -= whole
        exchange.body_count += size
        if exchange.body_left >= 0:
            exchange.body_left -= size
            if exchange.body_left < 0 or (ended and exchange.body_left):
                self._credit_connection(whole)
                return self.on_stream_fault(
                    number,
                    ProtocolViolation(
                        "a body of another length than Content-Length", "RFC 9113 8.1.1"
                    ),
                )
        if ended:
            exchange.remote_ended = True
        if padding:
            self._credit_connection(padding)
            self._credit_stream(exchange, padding)
        if self.bounds.adaptive:
            self._probe(size)
        if size:
            self._give(exchange, data, size)
        if ended and not exchange.closed:
            self._end_body(exchange)
        return 0

    cdef int _give(self, H2Exchange exchange, const char* data, Py_ssize_t size) except -1:
        """A part of a body, for the application or for nobody."""
        exchange.body_since = INFINITY
        exchange.buffered += size
        if exchange.tunnelled is not None and not exchange.ends:
            exchange.tunnelled.feed(data, size)
            if not exchange.tunnel_paused:
                self.part_taken(exchange, exchange.buffered)
            return 0
        if exchange.deaf or exchange.ends:
            return self.part_taken(exchange, size)
        if 0 < self.bounds.body_bytes < exchange.body_count and not exchange.head.protocol:
            return self.break_body(
                exchange, BodyTooLarge("a body too large", "RFC 9110 15.5.14")
            )
        exchange.feed(PyBytes_FromStringAndSize(data, size))
        return 0

    cdef int _end_body(self, H2Exchange exchange) except -1:
        """END_STREAM has arrived."""
        exchange.remote_ended = True
        exchange.has_body = False
        exchange.body_since = INFINITY
        if exchange.tunnelled is not None:
            if not exchange.ends:
                exchange.tunnelled.feed_eof()
            elif exchange.sent_end:
                self.close_stream(exchange, ENDED)
                self.lose_stream(exchange, None)
        elif not exchange.deaf:
            exchange.feed_end()
        return 0

    cdef int break_body(self, H2Exchange exchange, violation) except -1:
        """A body will never be complete: answer at once if nothing has been said yet."""
        exchange.deaf = True
        exchange.has_body = False
        exchange.body_since = INFINITY
        self.part_taken(exchange, exchange.buffered)
        if exchange.state != AWAITED:
            exchange.feed_error(violation)
            return 0
        exchange.overrule(violation, violation)
        self.observer.refused(self.peer, violation)
        return 0

    cdef int body_wanted(self, H2Exchange exchange) except -1:
        if not exchange.has_body or exchange.closed or self.over:
            return 0
        if (
            exchange.head.expects_continue
            and not exchange.continued
            and not exchange.head_out
            and exchange.body_count == 0
        ):
            exchange.inform(100, ())
        if exchange.body_since == INFINITY:
            exchange.body_since = self.clock.now
            self.stream_deadline = min(self.stream_deadline, self.clock.now + self.bounds.body_s)
            if not self.batch:
                self.schedule()
        return 0

    cdef int part_taken(self, H2Exchange exchange, Py_ssize_t count) except -1:
        count = min(count, <Py_ssize_t>exchange.buffered)  # the rest was given back before
        if exchange.closed or self.over or count == 0:
            return 0
        exchange.buffered -= count
        self._credit_connection(count)
        self._credit_stream(exchange, count)
        if not self.batch:
            self.flush()
        return 0

    cdef int tunnel_made(self, H2Exchange exchange) except -1:
        exchange.body_since = INFINITY
        self.tunnels += 1
        if self._terms is not None:
            exchange.tunnelled.drain(self._terms)
        return 0

    # --- windows of the peer -------------------------------------------------------------------

    cdef int _credit_connection(self, long long count) except -1:
        """Octets are no more here: give them back, many at a time (RFC 9113 6.9)."""
        self._credit += count
        if 2 * self._credit >= self._connection_target:
            self.frame_32(WINDOW_UPDATE, 0, <unsigned int>self._credit)
            self._left += self._credit
            self._credit = 0
        return 0

    cdef int _credit_stream(self, H2Exchange exchange, long long count) except -1:
        exchange.credit += count
        if exchange.remote_ended or exchange.closed or self.over:
            return 0
        if 2 * exchange.credit >= self._stream_target or (
            exchange.recv_window == 0 and exchange.buffered == 0
        ):
            # All that is neither here nor allowed yet; more than was taken if the target has grown.
            count = self._stream_target - exchange.recv_window - exchange.buffered
            if count > 0:
                self.frame_32(WINDOW_UPDATE, exchange.number, <unsigned int>count)
                exchange.recv_window += count
            exchange.credit = 0
        return 0

    cdef int _probe(self, Py_ssize_t count) except -1:
        """Count what arrives within a round trip, which a PING and its ACK delimit."""
        self._came += count
        if not self._measuring and 4 * self._came >= min(
            self._stream_target, self._connection_target
        ):
            self._measuring = True
            self._came = 0
            self.send_ping(0, ROUND_TRIP)
        return 0

    cdef int measured(self, const char* payload) except -1:
        """An ACK has come, perhaps this one: see engine.pure.h2_growth."""
        cdef H2Exchange exchange
        cdef long long came = self._came, more
        cdef char* to
        if not self._measuring or memcmp(payload, ROUND_TRIP, 8) != 0:
            return 0
        self._came = 0
        self._measuring = False
        if self._stream_target >= MOST_ADAPTED or (
            3 * came < 2 * min(self._stream_target, self._connection_target)
        ):
            return 0
        more = min(2 * self._stream_target, <long long>MOST_ADAPTED) - self._stream_target
        self._stream_target += more
        self._first_recv = self._stream_target
        for exchange in self.streams.values():
            exchange.recv_window += more
        to = self.claim(HEAD_BYTES + 6)
        write_setting(
            write_head(to, 6, SETTINGS, 0, 0), INITIAL_WINDOW_SIZE, <unsigned int>self._first_recv
        )
        self._out_size += HEAD_BYTES + 6
        more = min(
            self._connection_target, max(<long long>MOST_ADAPTED - self._connection_target, 0)
        )
        if more:
            self._connection_target += more
            self._left += more
            self.frame_32(WINDOW_UPDATE, 0, <unsigned int>more)
        return 0

    # --- ends of streams -----------------------------------------------------------------------

    cdef int sent_end(self, H2Exchange exchange) except -1:
        cdef bint tunnel = exchange.tunnelled is not None
        exchange.sent_end = True
        self._counts[RESETS] -= 1  # one more may be reset
        self.moved = True
        if tunnel and not exchange.remote_ended:
            # The peer says END_STREAM too, after what it has sent by now: a while is given to it.
            exchange.body_since = self.clock.now
            self.stream_deadline = min(self.stream_deadline, self.clock.now + self.bounds.body_s)
            return 0
        if not exchange.remote_ended:
            self.frame_32(RST_STREAM, exchange.number, NO_ERROR)  # RFC 9113 8.1
        self.close_stream(exchange, ENDED if exchange.remote_ended else RESET_BY_US)
        if tunnel:
            return self.lose_stream(exchange, None)
        if exchange._on_room is not None:
            exchange.feed_room()  # there will be no other news
        if not exchange.hidden:
            self._finished(exchange)
        if exchange.has_body:
            exchange.has_body = False
            exchange.feed_error(Disconnected("the request has been answered"))
        return 0

    cdef int cut(self, H2Exchange exchange, unsigned int code) except -1:
        if exchange.closed or self.over:
            return 0
        self.frame_32(RST_STREAM, exchange.number, code)
        self.close_stream(exchange, RESET_BY_US)
        self.lose_stream(exchange, None)
        if not self.batch:
            self.settle()
        return 0

    cdef int on_reset(self, unsigned int number) except -1:
        cdef H2Exchange exchange = self.streams.get(number)
        if exchange is None:
            return self.count(RST_STREAM)
        self.close_stream(exchange, RESET_BY_PEER)
        self.lose_stream(exchange, None)
        return self.count(RESETS)

    cdef int on_stream_fault(self, unsigned int number, violation) except -1:
        cdef H2Exchange exchange = self.streams.get(number)
        if exchange is None and (number > self.last_number or number & 1 == 0):
            raise violation  # there is no stream to be reset
        self.frame_32(RST_STREAM, number, violation.h2_code)
        self.remember(number, RESET_BY_US)
        self.observer.refused(self.peer, violation)
        if exchange is not None:
            self.close_stream(exchange, RESET_BY_US)
            self.lose_stream(exchange, violation)
        self.answered()
        return self.count(RESETS)

    cdef int remember(self, unsigned int number, int how) except -1:
        self._closed[number] = how
        if len(self._closed) > REMEMBERED_STREAMS:
            del self._closed[next(iter(self._closed))]
        return 0

    cdef int close_stream(self, H2Exchange exchange, int how) except -1:
        """A stream is no more; what nobody has taken of it goes back to the connection's window."""
        exchange.closed = True
        exchange.body_since = INFINITY
        del self.streams[exchange.number]
        if exchange.tunnelled is not None:
            self.tunnels -= 1
        self.forget(exchange)
        if how != ENDED:  # which is what the others are taken for
            self.remember(exchange.number, how)
        if exchange.buffered:
            self._credit_connection(exchange.buffered)
            exchange.buffered = 0
        if not self.streams:
            self._idle_since = self.clock.now
        return 0

    cdef int lose_stream(self, H2Exchange exchange, error) except -1:
        """An exchange hears that its stream is no more."""
        cdef bint told = exchange.tunnelled is not None or exchange.hidden
        exchange.lose(error)
        return 0 if told else self._finished(exchange)

    cdef int _finished(self, H2Exchange exchange) except -1:
        if self.counter is not None:
            self.counter.finished(exchange)
        else:
            self.observer.finished(exchange)
        return 0

    # --- priorities ----------------------------------------------------------------------------

    cdef int on_wishes(self, unsigned int number, bytes value) except -1:
        cdef H2Exchange exchange = self.streams.get(number)
        cdef Wishes wishes
        read_wishes(value, &wishes)
        self.ordered = True
        if exchange is not None:
            exchange.urgency = wishes.urgency
            exchange.incremental = wishes.incremental
        elif number > self.last_number and len(self._early) < MOST_EARLY:
            self._early[number] = (wishes.urgency, wishes.incremental)
        return 0

    # --- done by H2Endpoint --------------------------------------------------------------------

    cdef int part(self) except -1:
        """Say that no stream is looked at after those that have begun."""
        raise NotImplementedError

    cdef int schedule(self) except -1:
        """Find out when `expire` wants to be called."""
        raise NotImplementedError
