"""The sending half of an HTTP/2 connection: one buffer, windows, and whose turn it is.

What is written in a batch (a feed of the transport, a call of an application) leaves in one write.
Field blocks and control frames are written at once, for their order is that of the compression;
DATA is, too, while nobody waits. Otherwise it waits in its exchange, and `_pump` serves those that
can be served by their priority (RFC 9218 10): the lowest urgency first; in it those that are not
incremental one after the other as they came, then the incremental ones frame by frame in turn.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from granian_d.engine.native.answer cimport alt_svc_line
from granian_d.engine.native.h2_frames cimport (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    HEAD_BYTES,
    HEADERS,
    LEAST_FRAME,
    write_32,
    write_head,
)

cdef enum:
    OUT_BYTES = 65536  # put together for one write

cdef dict _bounds_of = {}  # by the identity of Limits: one for each worker

# A buffer that no connection uses at the moment: nearly always there is one, and one is enough.
cdef char* _spare = NULL


cdef class Bounds:
    """The limits of a worker, as C reads them."""

    def __init__(self, limits):
        self.limits = limits
        self.head_bytes = limits.head_bytes
        self.head_fields = limits.head_fields
        self.body_bytes = limits.body_bytes
        self.head_s = limits.head_timeout_s or INFINITY
        self.idle_s = limits.idle_timeout_s or INFINITY
        self.body_s = limits.body_timeout_s or INFINITY
        self.write_s = limits.write_timeout_s or INFINITY
        self.keep_alive = limits.keep_alive
        self.websocket = limits.websocket is not None
        http2 = limits.http2
        self.streams = http2.streams
        self.frame_bytes = max(LEAST_FRAME, http2.frame_bytes)
        self.fields_bytes = http2.fields_bytes
        self.connection_window = max(FIRST_WINDOW, http2.connection_window_bytes)
        self.stream_window = http2.stream_window_bytes
        self.adaptive = http2.adaptive_window
        self.send_buffer = http2.send_buffer_bytes
        self.ping_s = http2.ping_interval_s or INFINITY
        self.pong_s = http2.ping_timeout_s or INFINITY
        self.alt_svc = alt_svc_line(limits.alt_svc)


cdef Bounds bounds_of(limits):
    cdef Bounds bounds = _bounds_of.get(id(limits))
    if bounds is None or bounds.limits is not limits:
        bounds = _bounds_of[id(limits)] = Bounds(limits)
    return bounds


cdef class H2Outflow(NativeEndpoint):
    """What an endpoint of HTTP/2 writes with."""

    def __dealloc__(self):
        free(self._out)

    # --- the buffer ----------------------------------------------------------------------------

    cdef char* claim(self, Py_ssize_t size) except NULL:
        """Room for so many octets behind what is written; `_out_size` is the caller's to raise."""
        global _spare
        if self._out_size + size <= self._out_room:
            return self._out + self._out_size
        if self._out_size:
            self.flush()
        if self._out == NULL and _spare != NULL:
            self._out, self._out_room, _spare = _spare, OUT_BYTES, NULL
        if size > self._out_room:
            grown = <char*>realloc(self._out, max(size, OUT_BYTES))
            if grown == NULL:
                raise MemoryError
            self._out = grown
            self._out_room = max(size, OUT_BYTES)
        return self._out

    cdef int flush(self) except -1:
        """Hand what is written to the wire."""
        global _spare
        cdef Py_ssize_t size = self._out_size
        cdef bint room
        if size == 0 or self.over:
            self._out_size = 0
            return 0
        self._out_size = 0
        self._written += size
        room = self.wire.put_later(self._out, size, None)
        if self._out_room == OUT_BYTES and _spare == NULL:
            _spare = self._out
        else:
            free(self._out)
        self._out, self._out_room = NULL, 0
        self.room = room
        if room:
            self.write_deadline = INFINITY
        elif self.write_deadline == INFINITY:
            self._look()
        return 0

    cdef int settle(self) except -1:
        """The end of a batch: send what can be sent, then see what is to be waited for."""
        if self.over:
            return 0
        self.batch += 1
        try:
            while True:
                if self.waiting:
                    self._pump()
                self.flush()
                if not (self.told_full and self.room and self._tell_room()):
                    break
        finally:
            self.batch -= 1
        if not self.over:
            self.conclude()
            self.flush()
        return 0

    cdef int conclude(self) except -1:
        """Nothing more is written in this batch."""
        raise NotImplementedError

    cdef int sent_end(self, H2Exchange exchange) except -1:
        """An exchange has written END_STREAM."""
        raise NotImplementedError

    cdef int body_wanted(self, H2Exchange exchange) except -1:
        """The application waits for more of the body."""
        raise NotImplementedError

    cdef int part_taken(self, H2Exchange exchange, Py_ssize_t count) except -1:
        """The application has pulled a part of the body."""
        raise NotImplementedError

    cdef int cut(self, H2Exchange exchange, unsigned int code) except -1:
        """We reset a stream, whose exchange hears of it."""
        raise NotImplementedError

    cdef int tunnel_made(self, H2Exchange exchange) except -1:
        """Another protocol has begun in a stream."""
        raise NotImplementedError

    # --- frames --------------------------------------------------------------------------------

    cdef int frame_32(self, int kind, unsigned int stream, unsigned int number) except -1:
        """A frame of one number: RST_STREAM or WINDOW_UPDATE."""
        cdef char* at = self.claim(HEAD_BYTES + 4)
        write_32(write_head(at, 4, kind, 0, stream), number)
        self._out_size += HEAD_BYTES + 4
        return 0

    cdef int fields_written(self, H2Exchange exchange, Py_ssize_t size, bint last) except -1:
        """A field block stands behind room for its head: make frames of it (RFC 9113 4.3).

        There is room behind it for as many heads as it needs.
        """
        cdef char* at = self._out + self._out_size
        cdef Py_ssize_t part = min(size, <Py_ssize_t>LEAST_FRAME)
        cdef int flags = END_STREAM if last else 0
        write_head(at, part, HEADERS, flags | (END_HEADERS if part == size else 0), exchange.number)
        at += HEAD_BYTES + part
        self._out_size += HEAD_BYTES + part
        size -= part
        while size:
            part = min(size, <Py_ssize_t>LEAST_FRAME)
            memmove(at + HEAD_BYTES, at, size)
            write_head(
                at, part, CONTINUATION, END_HEADERS if part == size else 0, exchange.number
            )
            at += HEAD_BYTES + part
            self._out_size += HEAD_BYTES + part
            size -= part
        return 0

    cdef bint may_send(self, H2Exchange exchange, Py_ssize_t size) noexcept:
        """Whether DATA may go out now: there is a window for it, and nobody is in front of it.

        Who is in front of whom is not known before the end of a batch, if anybody has cared.
        """
        return (
            size <= exchange.window
            and size <= self.window
            and size <= OUT_BYTES
            and self.room
            and not self.waiting
            and not (self.ordered and self.batch)
        )

    cdef int write_data(
        self, H2Exchange exchange, const char* data, Py_ssize_t size, bint last
    ) except -1:
        """DATA, in as many frames as it needs; windows were asked before."""
        cdef Py_ssize_t part
        cdef char* at
        exchange.window -= size
        self.window -= size
        self.window_moved_at = exchange.moved_at = self.clock.now
        self.moved = True
        exchange.sent_bytes += size
        while True:
            part = min(size, <Py_ssize_t>LEAST_FRAME)
            at = self.claim(HEAD_BYTES + part)
            size -= part
            write_head(at, part, DATA, END_STREAM if last and size == 0 else 0, exchange.number)
            self._out_size += HEAD_BYTES + part
            if part:
                memcpy(at + HEAD_BYTES, data, part)
                data += part
            if size == 0:
                return 0

    # --- who waits -----------------------------------------------------------------------------

    cdef int wait(self, H2Exchange exchange) except -1:
        """An exchange has put something into its queue."""
        if not exchange.waits:
            exchange.waits = True
            exchange.moved_at = self.clock.now
            self.waiting.append(exchange)
            self.stream_deadline = min(self.stream_deadline, self.clock.now + self.bounds.write_s)
        return 0

    cdef int forget(self, H2Exchange exchange) except -1:
        """Nothing of an exchange waits any more."""
        if exchange.waits:
            exchange.waits = False
            self.waiting.remove(exchange)
        return 0

    cdef int _pump(self) except -1:
        """Send what the peer's windows and the wire have room for."""
        cdef H2Exchange exchange
        while self.room and self.waiting and not self.over:
            exchange = self._next()
            if exchange is None:
                return 0
            self._serve_one(exchange)
        return 0

    cdef H2Exchange _next(self):
        """Whose turn it is, of those that can send anything."""
        cdef H2Exchange best = None
        cdef H2Exchange one
        for one in self.waiting:
            if one.queued and (one.window <= 0 or self.window <= 0):
                continue
            if best is None or one.urgency < best.urgency:
                best = one
            elif one.urgency > best.urgency:
                continue
            elif one.incremental != best.incremental:
                best = best if one.incremental else one
            elif one.incremental:
                best = one if one.served_at < best.served_at else best
            elif one.number < best.number:
                best = one
        return best

    cdef int _serve_one(self, H2Exchange exchange) except -1:
        """A frame of what an exchange has in its queue; with the last one, its end."""
        cdef bytes part
        cdef Py_ssize_t count = 0
        cdef bint last
        self._turn += 1
        exchange.served_at = self._turn
        if exchange.queued:
            part = <bytes>exchange.queue[0]
            count = min(
                PyBytes_GET_SIZE(part) - exchange.queue_at,
                <Py_ssize_t>LEAST_FRAME, exchange.window, self.window,
            )
        last = exchange.ends and count == exchange.queued and not exchange.trailers
        if count or last:
            exchange.queued -= count
            self.write_data(
                exchange, NULL if count == 0 else PyBytes_AS_STRING(part) + exchange.queue_at,
                count, last,
            )
        if count:
            exchange.queue_at += count
            if exchange.queue_at == PyBytes_GET_SIZE(part):
                exchange.queue.popleft()
                exchange.queue_at = 0
        if exchange.queued:
            return 0
        self.forget(exchange)
        if exchange.ends:
            if exchange.trailers:
                exchange.write_trailers()
            self.sent_end(exchange)
        return 0

    cdef bint _tell_room(self) except -1:
        """Tell those who were told to wait and have room now; whether there were any."""
        cdef H2Exchange exchange
        cdef list eager = []
        self.told_full = False
        for exchange in self.streams.values():
            if not exchange.told_full:
                continue
            if exchange.queued <= self.bounds.send_buffer // 2:
                exchange.told_full = False
                eager.append(exchange)
            else:
                self.told_full = True
        for exchange in eager:
            exchange.tell_room()
        return bool(eager)

    # --- time ----------------------------------------------------------------------------------

    cdef double stalls_at(self, H2Exchange exchange) except? -1:
        """When the patience with a peer that gives an exchange no window ends."""
        if not exchange.waits or not self.room:
            return INFINITY
        if exchange.window <= 0:
            return exchange.moved_at + self.bounds.write_s
        return max(exchange.moved_at, self.window_moved_at) + self.bounds.write_s

    cdef bint stalled(self) except -1:
        """Whether the peer has taken nothing since it was last looked at."""
        cdef long long taken = self._taken
        self._look()
        return self._taken <= taken

    cdef int _look(self) except -1:
        self._taken = self._written - self.wire.queued()
        self.write_deadline = self.clock.now + self.bounds.write_s
        return 0
