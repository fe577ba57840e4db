# cython: freelist=64
"""An Exchange on a stream of HTTP/2: what the application answers becomes frames.

The rules of what may follow what, and of what is said when, are those of engine.pure.h2_exchange.
A fault of the application is found before anything of the faulty call is written, so a 500 can
still be given as long as the head is held back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from granian_d.engine.native.answer cimport advertise, date_line, frame, judge
from granian_d.engine.native.h2_answer cimport fields_bound
from granian_d.engine.native.h2_frames cimport (
    CANCEL,
    END_STREAM,
    HEAD_BYTES,
    INTERNAL_ERROR,
    LEAST_FRAME,
)
from granian_d.engine.native.wire cimport native_endpoint

from collections import deque

from granian_d.engine.pure import h1_answer
from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.http import semantics, states

cdef enum:
    AWAITED = 0  # the constants of http.states; checked below
    STARTED = 1
    FINISHED = 2
    ABORTED = 3
    TUNNEL = 4
    NO_BODY = 0  # the constants of http.framing; checked in answer.pyx
    LENGTH = 1

assert (
    states.AWAITED, states.STARTED, states.FINISHED, states.ABORTED, states.TUNNEL
) == (AWAITED, STARTED, FINISHED, ABORTED, TUNNEL)

cdef dict _NEXT = states.NEXT
cdef list _TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


cdef Py_ssize_t _with_heads(Py_ssize_t size) noexcept:
    """A field block with the heads of the frames that it needs."""
    return size + HEAD_BYTES * (2 + size // LEAST_FRAME)


cdef class H2Exchange(Exchange):
    """One request with its response; see http.exchange."""

    def __init__(self):
        raise TypeError("made by its connection")

    cdef int prepare(self, H2Outflow connection, unsigned int number) except -1:
        """Begin, with all that is not nothing."""
        cdef timespec now
        self.connection = connection
        self.peer = connection.peer
        self.observer = connection.observer
        self.number = number
        self.window = connection.first_window
        self.body_left = self._left_of_answer = -1
        self.body_since = INFINITY
        self.urgency = 3  # RFC 9218 4.1
        clock_gettime(CLOCK_MONOTONIC, &now)
        self.started_ns = <long long>now.tv_sec * 1000000000 + now.tv_nsec
        return 0

    # --- the response --------------------------------------------------------------------------

    cpdef inform(self, object status, fields):
        """Send an interim response; see Exchange."""
        cdef list kept
        cdef char* to
        self._demand("inform")
        kept = semantics.judge_interim(status, fields)
        if self.head_out:
            return  # nothing interim comes behind the head of a final response (RFC 9110 15.2)
        self.continued = self.continued or status == 100
        to = self.connection.claim(_with_heads(fields_bound(kept)))
        self.connection.fields_written(
            self, self.connection.heads.write_fields(to + HEAD_BYTES, status, kept), False
        )
        if not self.connection.batch:
            self.connection.settle()

    cpdef start(self, object status, fields):
        """Give the head of the response, which is held back; see Exchange."""
        if self.state != AWAITED:
            self._demand("start")
        self._answer = judge(status, fields)
        if self.connection.bounds.alt_svc is not None:
            advertise(self._answer, self.connection.bounds.alt_svc)
        self.state = STARTED
        self.status = self._answer.status

    cpdef bint send(self, data, bint last=False) except -1:
        """Send a part of the body; see Exchange."""
        if self.state != STARTED:
            self._demand("send")
        if not isinstance(data, bytes):
            raise InvalidResponse(f"a body of {type(data).__name__} instead of bytes")
        return self._put(<bytes>data, last, None)

    cpdef finish(self, trailers=()):
        """End the response; see Exchange."""
        self._demand("finish")
        kept = semantics.judge_trailers(trailers)
        if not semantics.takes_trailers(self.head.fields):
            kept = []  # RFC 9110 6.5.1
        self._put(b"", True, kept)

    def send_file(self, fd, offset, count, done):
        """Send a part of a file; see Exchange."""
        if self.state == STARTED and not semantics.has_content(self.head.method, self.status):
            self.finish()  # without reading what will not be sent
            done(True)
            return
        Exchange.send_file(self, fd, offset, count, done)

    cpdef tunnel(self, fields, make):
        """Accept the other protocol that was asked for (RFC 8441 5); see Exchange."""
        cdef H2Outflow connection = self.connection
        cdef StreamWire wire
        cdef bytes part
        cdef list kept
        cdef char* to
        self._demand("tunnel")
        if not self.head.protocol:
            raise FlowError("no other protocol was asked for")
        kept = semantics.judge_switch(fields)
        line = date_line()
        kept.append((b"date", line[6 : len(line) - 2]))
        self.state = TUNNEL
        self.status = 200
        self.head_out = True
        to = connection.claim(_with_heads(fields_bound(kept)))
        connection.fields_written(
            self, connection.heads.write_fields(to + HEAD_BYTES, 200, kept), False
        )
        wire = StreamWire.__new__(StreamWire)
        wire._exchange = self
        connection.batch += 1
        try:
            self.tunnelled = native_endpoint(make(wire))
            connection.tunnel_made(self)
            while self._parts and self.tunnelled is not None:
                part = self._parts.popleft()
                self.tunnelled.feed(PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
            if not self.tunnel_paused:
                connection.part_taken(self, self.buffered)
            if self._ended and self.tunnelled is not None and not self.ends:
                self.tunnelled.feed_eof()
        finally:
            connection.batch -= 1
        if not connection.batch:
            connection.settle()

    cpdef abort(self):
        """Cut the exchange; see Exchange."""
        if self.state != AWAITED and self.state != STARTED:
            return
        self.state = ABORTED
        self.connection.cut(self, INTERNAL_ERROR)

    cpdef fail(self):
        """End the exchange after a fault of the application; see Exchange."""
        if self.state == STARTED and not self.head_out:
            self.state = AWAITED  # nobody has seen that start: a 500 can take its place
        Exchange.fail(self)

    # --- told by the connection ----------------------------------------------------------------

    cdef int lose(self, error) except -1:
        """The stream is no more there for this exchange."""
        cdef NativeEndpoint tunnelled = self.tunnelled
        self.queue = None
        self.queued = 0
        self.told_full = False
        if tunnelled is not None:
            self.tunnelled = None
            tunnelled.feed_lost()  # and whoever speaks in it says `close_tunnel`
            return 0
        if self.state != FINISHED:
            self.state = ABORTED
        if error is not None:
            self.feed_error(error)
        self.feed_gone()
        return 0

    cdef int reply(self, violation) except -1:
        """Answer in place of the application (RFC 9110 15.5)."""
        cdef bytes body
        self._answer = judge(
            violation.http_status, _TEXT + list(getattr(violation, "answer_fields", ()))
        )
        self.state = STARTED
        self.status = self._answer.status
        body = refusal_text(violation)
        self._put(body, True, None)
        return 0

    cdef int overrule(self, violation, error) except -1:
        """Answer in place of an application that has not begun to, and does not come to it."""
        self.reply(violation)
        self.state = ABORTED
        self.feed_error(error)
        self.feed_gone()
        return 0

    cdef int tell_room(self) except -1:
        if self.state == TUNNEL:
            if self.tunnelled is not None:
                self.tunnelled.feed_room()
        else:
            self.feed_room()
        return 0

    cdef int write_trailers(self) except -1:
        """The last frame of the response: its trailer section, with END_STREAM."""
        cdef char* to = self.connection.claim(_with_heads(fields_bound(self.trailers)))
        return self.connection.fields_written(
            self, self.connection.heads.write_fields(to + HEAD_BYTES, 0, self.trailers), True
        )

    # --- told by Exchange ----------------------------------------------------------------------

    cpdef _part_taken(self, bytes part):
        self.connection.part_taken(self, PyBytes_GET_SIZE(part))

    cpdef _body_wanted(self):
        self.connection.body_wanted(self)

    # --- inside --------------------------------------------------------------------------------

    cdef int _demand(self, str move) except -1:
        """Refuse a move for which it is too late or too early, before anything else is judged."""
        if self.state == ABORTED:
            raise Disconnected("the connection is closed")
        if move not in <dict>_NEXT[self.state]:
            raise FlowError(f"cannot {move}: the response is {states.NAMES[self.state]}")
        return 0

    cdef bint _put(self, bytes data, bint last, list trailers) except -1:
        """Write a part of the body, and what must stand before and behind it."""
        cdef Py_ssize_t count = PyBytes_GET_SIZE(data)
        cdef bint bare
        self._check_length(count, last)
        if not self.head_out:
            # Without a body and trailers the head itself ends the stream.
            self._framing = frame(
                self._head_request, False, self._answer, count if last else -1, False
            )
            bare = last and (self._framing.kind == NO_BODY or (count == 0 and not trailers))
            self._open(bare)
            if bare:
                return self._ended_at_once()
        if self._framing.kind == NO_BODY:
            data, count, trailers = b"", 0, None
        elif self._left_of_answer >= 0:
            self._left_of_answer -= count
        if last:
            self.state = FINISHED
        elif count == 0:
            if not self.connection.batch:
                self.connection.settle()
            return self.connection.room
        return self._send(data, last, trailers)

    cdef bint _ended_at_once(self) except -1:
        self.state = FINISHED
        self.ends = True
        self.connection.sent_end(self)
        if not self.connection.batch:
            self.connection.settle()
        return True

    cdef bint put(self, bytes data, bint last) except -1:
        """Send octets of another protocol."""
        return self._send(data, last, None)

    cdef bint _send(self, bytes data, bint last, list trailers) except -1:
        """DATA, now or as soon as it can be; False when too much of it waits."""
        cdef H2Outflow connection = self.connection
        cdef Py_ssize_t count = PyBytes_GET_SIZE(data)
        if self.closed:
            return True
        if self.queued == 0 and not self.waits and connection.may_send(self, count):
            if count or not trailers:
                connection.write_data(self, PyBytes_AS_STRING(data), count, last and not trailers)
            if last:
                self.ends = True
                if trailers:
                    self.trailers = trailers
                    self.write_trailers()
                connection.sent_end(self)
        else:
            if count:
                if self.queue is None:
                    self.queue = deque()
                self.queue.append(data)
                self.queued += count
            if last:
                self.ends = True
                self.trailers = trailers
            connection.wait(self)
        if not connection.batch:
            connection.settle()
        if self.queued > connection.bounds.send_buffer or not connection.room:
            if self.closed:
                return True
            self.told_full = connection.told_full = True
            return False
        return True

    cdef int _check_length(self, Py_ssize_t count, bint last) except -1:
        """Refuse a body that breaks the length that was declared for it."""
        cdef long long left = self._left_of_answer
        cdef int status
        if not self.head_out:
            status = self._answer.status
            if self._head_request or status == 204 or status == 205 or status == 304:
                return 0
            left = self._answer.length
        if left < 0 or not (count > left or (last and count < left)):
            return 0
        if self.head_out:
            self.abort()  # RFC 9113 8.1.1: the peer must not take it for complete
        raise InvalidResponse(f"a body of {'more' if count > left else 'less'} than Content-Length")

    cdef int _open(self, bint last) except -1:
        """Write the head, now that as much as can be is known about the body."""
        cdef H2Outflow connection = self.connection
        cdef char* to
        self._left_of_answer = self._framing.length if self._framing.kind == LENGTH else -1
        self.head_out = True
        to = connection.claim(_with_heads(connection.heads.bound(self._answer)))
        return connection.fields_written(
            self,
            connection.heads.write(to + HEAD_BYTES, self._answer, self._framing.length),
            last,
        )


cdef bytes refusal_text(violation):
    """What a refusal says, as on HTTP/1: the reasons hold no octet of the peer."""
    octets, size = h1_answer.refusal(violation, b"GET")
    return octets[len(octets) - size :]


cdef class StreamWire(NativeWire):
    """The Wire of another protocol in a stream (RFC 8441 5)."""

    def __init__(self):
        raise TypeError("made for a tunnel")

    cdef bint put(self, const char* data, Py_ssize_t size, bytes body) except -1:
        cdef bytes octets = PyBytes_FromStringAndSize(data, size)
        if body is not None:
            octets = octets + body if size else body
        return self._exchange.put(octets, False)

    cpdef int pause(self) except -1:
        self._exchange.tunnel_paused = True
        return 0

    cpdef int resume(self) except -1:
        if self._exchange.tunnel_paused:
            self._exchange.tunnel_paused = False
            self._exchange.connection.part_taken(self._exchange, self._exchange.buffered)
        return 0

    cpdef Py_ssize_t queued(self) except -1:
        return self._exchange.queued

    cpdef int switch(self, endpoint) except -1:
        if self._exchange.tunnelled is not None:
            self._exchange.tunnelled = native_endpoint(endpoint)
        return 0

    cpdef int finish(self) except -1:
        """END_STREAM, which a TCP FIN is here."""
        if not self._ended and not self._exchange.closed:
            self._ended = True
            self._exchange.put(b"", True)
        return 0

    cpdef int abort(self) except -1:
        """RST_STREAM with CANCEL, which a TCP RST is here."""
        self._ended = True
        if not self._exchange.closed:
            self._exchange.connection.cut(self._exchange, CANCEL)
        return 0
