# cython: freelist=64
"""One HTTP/1.x connection in C: bytes in, one Exchange at a time, bytes out.

The rules, the phases and the names are those of `engine.pure.h1`, its reference: whoever changes
one changes both, and the differential tests hold them together. What differs is how bytes are
held. During `feed` what has not been looked at is a window on the transport's buffer; what is left
of it at the end is kept in `_held`. Only where a head begins that has not arrived whole, or that
`read_head` is not sure of, a HeadIntake is made, so that the reference judges what is held.
"""

from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.answer cimport alt_svc_line
from granian_d.engine.native.chunks cimport Chunks
from granian_d.engine.native.h1_exchange cimport H1Exchange
from granian_d.engine.native.head cimport Facts, Section, read_head
from granian_d.engine.native.wire cimport FileSpan, NativeEndpoint, NativeWire, native_wire
from granian_d.http.exchange cimport Observer
from granian_d.http.message cimport Peer, RequestHead

from granian_d.engine import upgrade
from granian_d.engine.pure import h1_answer
from granian_d.engine.pure.h1_head import HeadIntake, judge_head
from granian_d.errors import Disconnected, ProtocolViolation, RequestTimeout
from granian_d.http import semantics, states

cdef enum:
    BUFFERED_BYTES = 65536  # of a request body that the application has not pulled yet
    PIPELINED_BYTES = 65536  # of requests behind the one that is being answered
    DISCARDED_BYTES = 65536  # of a body nobody wants: more costs more than a connection
    AWAITED = 0  # of http.states; checked below

assert states.AWAITED == AWAITED

cdef str HTTP_1_1 = "1.1"
cdef dict _terms_of = {}  # by the identity of Limits: one for each worker


cdef class Terms:
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
        self.alt_svc = alt_svc_line(limits.alt_svc)


cdef Terms _terms(limits):
    cdef Terms terms = _terms_of.get(id(limits))
    if terms is None or terms.limits is not limits:
        terms = _terms_of[id(limits)] = Terms(limits)
    return terms


cdef class H1Endpoint(NativeEndpoint):
    """One connection; see engine.contract.Endpoint and engine.pure.h1."""

    def __init__(self, wire, Peer peer, service, limits, Clock clock not None):
        self.peer = peer
        self.observer = service.observer
        self._counter = self.observer if isinstance(self.observer, Observer) else None
        self._service = service
        self._serve_it = service.serve
        self._terms = _terms(limits)
        self._clock = clock
        self._wire = native_wire(wire)
        self._room = True
        self._write_deadline = INFINITY
        self._patience.since = self._patience.head_since = clock.now
        self._patience.body_since = INFINITY
        self._patience.request_s = self._terms.head_s  # for the first; later the idle timeout
        self._patience.drain_idle_s = INFINITY
        self._schedule()

    # --- fed by the transport ------------------------------------------------------------------

    def feed_data(self, bytes data not None):
        """Bytes have arrived. All of one body, they are handed on as the object that they are."""
        self._source = data
        try:
            self.feed(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        finally:
            self._source = None

    cdef int feed(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t count
        cdef list faults
        if self._over or self._deaf:
            return 0
        if self._has_body:
            faults = []
            count = self._read_body(data, size, faults)
            data += count
            size -= count
            if faults:
                self._break_body(faults[0], faults[0])
        if size and not (self._over or self._deaf):
            if not self._available():
                self._patience.head_since = self._clock.now
            if self._held is not None:
                self._held += PyBytes_FromStringAndSize(data, size)
            else:
                self._window = data
                self._window_size = size
        try:
            self._proceed()
        finally:
            if self._window_size:
                self._hold()
                self._mind_flow()
                self._schedule()
        return 0

    cpdef feed_eof(self):
        """The peer has closed its sending side."""
        if self._over:
            return
        self._eof = True
        if self._exchange is not None:
            self._tell_eof(self._exchange)
        self._proceed()

    cpdef feed_lost(self):
        """The connection is gone in both directions."""
        self._leave()
        self._lose_exchange()

    cpdef feed_room(self):
        """The wire's queue has fallen below its low-water mark."""
        if self._over:
            return
        self._room = True
        self._write_deadline = INFINITY
        if self._exchange is None:
            self._patience.since = self._clock.now
            self._patience.body_since = INFINITY
        else:
            self._exchange.feed_room()
        self._proceed()

    cpdef expire(self):
        """`deadline` may have passed."""
        cdef double now = self._clock.now
        if self._over or now < self.deadline:
            return
        if now >= self._write_deadline and self._stalled():
            self._leave()
            self._wire.abort()
            self._lose_exchange()
        elif now >= self._read_by():
            self._expire_read()
        self._proceed()

    cpdef drain(self, leave):
        """Finish what is going on, start nothing new after it."""
        self._patience.drain_idle_s = leave.idle_s
        self._leave_terms = leave
        self._proceed()

    cpdef under_way(self, list found):
        """The request that is being answered."""
        if self._exchange is not None:
            found.append(self._exchange)

    cpdef reset(self, exchange):
        """Cut it, and the connection with it."""
        if exchange is self._exchange:
            self.cut(self._exchange)

    # --- asked by the exchange -----------------------------------------------------------------

    cdef bint write(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Hand bytes to the wire; False when it has no room for more."""
        cdef Py_ssize_t count = size
        if body is not None:
            count += PyBytes_GET_SIZE(body)
        if count == 0:
            return self._room
        self._written += count
        return self._mind_room(self._wire.put(data, size, body))

    cdef bint write_file(self, bytes head, FileSpan file) except -1:
        """Hand a part of a file to the wire; False when it has no room for more."""
        self._written += PyBytes_GET_SIZE(head) + file.left
        return self._mind_room(self._wire.put_file(head, file))

    cdef bint _mind_room(self, bint room) except -1:
        self._room = room
        if self._room:
            self._write_deadline = INFINITY
        else:
            if self._write_deadline == INFINITY:
                self._look()
            self._schedule()
        return self._room

    cdef bint may_persist(self, H1Exchange exchange, bint whole) except -1:
        """Whether the connection may stay after this answer, as far as that can be known now."""
        if self._deaf or self._patience.drain_idle_s != INFINITY or not self._terms.keep_alive:
            return False
        if not self._persists:
            return False
        if self._eof and not self._available():
            return False
        if not self._has_body:
            return True
        if exchange.head.expects_continue and not exchange.continued and not self._begun(exchange):
            return False  # RFC 9110 10.1.1: whether the body will come is not known
        return not (whole and self._left > DISCARDED_BYTES)

    cdef int body_wanted(self, H1Exchange exchange) except -1:
        """The application waits for more of the body."""
        if not self._has_body or exchange is not self._exchange or self._over:
            return 0
        if (
            exchange.head.expects_continue
            and not exchange.continued
            and not exchange.head_out
            and not self._begun(exchange)
        ):
            exchange.continued = True
            self.write(NULL, 0, h1_answer.CONTINUE)
        if self._patience.body_since == INFINITY:
            self._patience.body_since = self._clock.now
        return self._proceed()

    cdef int part_taken(self, H1Exchange exchange, Py_ssize_t count) except -1:
        """The application has pulled a part of the body."""
        if exchange is self._exchange:
            self._buffered -= count
            if self._paused:
                self._proceed()
        return 0

    cdef int answered(self, H1Exchange exchange) except -1:
        """The whole answer has been handed to the wire."""
        self._exchange = None
        self._buffered = 0
        self._patience.request_s = self._terms.idle_s
        self._patience.since = self._clock.now
        self._patience.body_since = INFINITY
        if exchange._on_room is not None:
            exchange.feed_room()  # a file that is being sent: there will be no other news
        self._finished(exchange)
        if self._has_body:
            self._discard = DISCARDED_BYTES
            exchange.feed_error(Disconnected("the request has been answered"))
        if self._over:
            return 0
        if (
            not exchange.persistent
            or self._deaf
            or (self._has_body and self._left > DISCARDED_BYTES)
        ):
            return self._finish()
        return self._proceed()

    cdef int _finished(self, H1Exchange exchange) except -1:
        if self._counter is not None:
            self._counter.finished(exchange)
        else:
            self.observer.finished(exchange)
        return 0

    cdef int cut(self, H1Exchange exchange) except -1:
        """The application gives up: the peer must not take the answer for complete."""
        self._leave()
        self._wire.abort()
        return self._lose_exchange()

    # --- requests ------------------------------------------------------------------------------

    cdef int _proceed(self) except -1:
        """Begin what can begin, then derive what the wire is asked for."""
        if self._busy or self._over:
            return 0
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
        return 0

    cdef bint _idle(self) noexcept:
        """No request is under way, and the next one may begin."""
        return (
            self._exchange is None
            and not self._has_body
            and self._room
            and not (self._over or self._deaf)
        )

    cdef Py_ssize_t _available(self) except -1:
        """Bytes that have arrived and belong to no request yet."""
        if self._window_size:
            return self._window_size
        return 0 if self._held is None else PyByteArray_GET_SIZE(self._held)

    cdef bint _begin(self) except -1:
        """Begin the next request, if its head is here."""
        cdef RequestHead head
        cdef H1Exchange exchange
        cdef timespec now
        cdef str protocol = ""
        try:
            head = self._take_head()
            if head is None:
                return False
            if self._upgrade:
                protocol = upgrade.asked_for(head, self.peer.scheme, self._terms.limits)
            offer = upgrade.judge_offer(head) if protocol == upgrade.WEBSOCKET else None
        except ProtocolViolation as violation:
            self._refuse(violation)
            return False
        if protocol == upgrade.H2C:
            self._become_h2(head)
            return False
        exchange = H1Exchange.__new__(H1Exchange)
        exchange.head = head
        exchange.peer = self.peer
        exchange.observer = self.observer
        exchange.continued = exchange.head_out = exchange.persistent = exchange.gone = False
        exchange.state = AWAITED
        exchange._endpoint = self
        exchange._head_request = len(head.method) == 4 and head.method == "HEAD"
        exchange._old = head.version is not HTTP_1_1 and head.version == "1.0"
        exchange._left_of_answer = -1
        clock_gettime(CLOCK_MONOTONIC, &now)
        exchange.started_ns = <long long>now.tv_sec * 1000000000 + now.tv_nsec
        self._exchange = exchange
        if self._left < 0:
            self._chunks = Chunks(self._terms.limits)
            self._has_body = True
        else:
            self._has_body = self._left > 0
        if self._counter is not None:
            self._counter.began(exchange)
        else:
            self.observer.began(exchange)
        if offer is None:
            self._serve(exchange)
        else:
            exchange._ended = True
            upgrade.offer_session(
                "native", exchange, offer, self._service, self._terms.limits, self._clock
            )
        return True

    def _become_h2(self, RequestHead head):
        """Let the request be the first one of HTTP/2 (RFC 7540 3.2)."""
        h2 = upgrade.continue_as_h2(
            "native", head, self.peer, self._service, self._terms.limits, self._clock
        )
        self.become(h1_answer.switching(upgrade.H2C, ()), h2)

    cdef int become(self, bytes answer, make) except -1:
        """Write `answer`, then leave the wire, and what has come over it, to another protocol."""
        cdef bytes rest = b""
        if self._window_size:
            rest = PyBytes_FromStringAndSize(self._window, self._window_size)
        elif self._held is not None:
            rest = bytes(self._held)
        self._wire.put(NULL, 0, answer)
        self._leave()
        self._exchange = None
        if self._paused:
            self._wire.resume()
        upgrade.hand_over(self._wire, make(self._wire), self._leave_terms, rest, self._eof)
        return 0

    cdef RequestHead _take_head(self):
        """The next head, None when it has not arrived yet.

        Raises:
            ProtocolViolation: it will never be a good one.
        """
        cdef const char* data
        cdef Py_ssize_t size
        cdef bytearray held = self._held
        cdef Facts facts
        cdef RequestHead head
        if self._intake is not None:
            return self._take_from_intake()
        if self._window_size:
            data, size = self._window, self._window_size
        elif held is not None:
            data, size = PyByteArray_AS_STRING(held), PyByteArray_GET_SIZE(held)
        else:
            return None
        if self._section is None:
            self._section = Section.__new__(Section)
        head = read_head(data, size, self._terms.head_fields, &facts, self._section)
        if (
            head is None
            or facts.size > self._terms.head_bytes
            or 0 < self._terms.body_bytes < facts.length
        ):
            if self._window_size:
                self._hold()
            self._intake = HeadIntake(self._terms.head_bytes, self._held)
            return self._take_from_intake()
        self._left = facts.length
        self._persists = facts.persists
        self._upgrade = facts.upgrade
        if self._window_size:
            self._window += facts.size
            self._window_size -= facts.size
        elif facts.size < size:
            del held[:facts.size]
        else:
            self._held = None
        return head

    cdef RequestHead _take_from_intake(self):
        """The next head as the reference cuts it out."""
        raw = self._intake.take()
        if raw is None:
            return None
        head = self._judge(raw)
        self._intake = None
        if not self._held:
            self._held = None
        return head

    cdef RequestHead _judge(self, raw):
        cdef Facts facts
        cdef bytes octets = raw.octets
        cdef RequestHead head = read_head(
            PyBytes_AS_STRING(octets),
            PyBytes_GET_SIZE(octets),
            self._terms.head_fields,
            &facts,
            Section.__new__(Section),
        )
        if head is not None and not 0 < self._terms.body_bytes < facts.length:
            self._left = facts.length
            self._persists = facts.persists
            self._upgrade = facts.upgrade
            return head
        head = judge_head(raw, self.peer.scheme, self._terms.limits)
        self._left = -1 if head.content_length is None else head.content_length
        self._persists = semantics.persists(head.version, head.fields)
        self._upgrade = True  # perhaps
        return head

    cdef int _hold(self) except -1:
        """Keep what is left of the window beyond the call."""
        self._held = PyByteArray_FromStringAndSize(self._window, self._window_size)
        self._window_size = 0
        return 0

    cdef int _serve(self, H1Exchange exchange) except -1:
        """Give the request away, with as much of its body as is here."""
        cdef list faults = None
        cdef Py_ssize_t count
        cdef bytearray rest
        if not self._has_body:
            exchange._ended = True
        elif self._window_size:
            faults = []
            count = self._read_body(self._window, self._window_size, faults)
            self._window += count
            self._window_size -= count
        elif self._held is not None:
            faults = []
            rest, self._held = self._held, None
            count = self._read_body(PyByteArray_AS_STRING(rest), PyByteArray_GET_SIZE(rest), faults)
            if count < PyByteArray_GET_SIZE(rest):
                del rest[:count]
                self._held = rest
        self._serve_it(exchange)
        if faults:
            self._break_body(faults[0], faults[0])
        elif self._eof and exchange is self._exchange:
            self._tell_eof(exchange)
        return 0

    cdef int _refuse(self, violation) except -1:
        """Answer in place of the application, which has seen nothing."""
        method = b"" if self._intake is None else self._intake.method
        answer, _ = h1_answer.refusal(violation, method)
        self._wire.put(NULL, 0, answer)
        self._finish()
        self.observer.refused(self.peer, violation)
        return 0

    cdef int _tell_eof(self, H1Exchange exchange) except -1:
        """No more comes for a request that is being answered."""
        if self._has_body:
            self._break_body(
                ProtocolViolation("the body is incomplete", "RFC 9112 8"),
                Disconnected("the peer closed the connection before the body was complete"),
            )
        exchange.feed_gone()
        return 0

    cdef int _close_after_eof(self) except -1:
        """All complete requests are answered; is there the beginning of another one?"""
        if self._exchange is not None or not self._room:
            return 0
        if not self._has_body and self._available():
            return self._refuse(ProtocolViolation("the request is incomplete", "RFC 9112 8"))
        return self._finish()

    # --- bodies --------------------------------------------------------------------------------

    cdef Py_ssize_t _read_body(self, const char* data, Py_ssize_t size, list faults) except -1:
        """Read on in a body; how many octets were of it. A fault is put into `faults`."""
        cdef Py_ssize_t count
        cdef list parts
        if self._chunks is None:
            count = size if size < self._left else <Py_ssize_t>self._left
            self._left -= count
            if (
                self._source is not None
                and data == PyBytes_AS_STRING(self._source)
                and count == PyBytes_GET_SIZE(self._source)
            ):
                self._give(self._source)
            else:
                self._give(PyBytes_FromStringAndSize(data, count))
            if self._left == 0 and self._has_body:
                self._body_ended()
            return count
        parts = []
        try:
            count = self._chunks.read(data, size, parts)
        except ProtocolViolation as violation:
            faults.append(violation)
            count = size
        for part in parts:
            self._give(part)
        if faults:
            self._deaf = True  # not before: to an answer given to a part it is not known yet
        if self._chunks is not None and self._chunks.ended:
            self._body_ended()
        return count

    cdef int _give(self, bytes part) except -1:
        """A part of the body, for the application or for nobody."""
        if self._exchange is not None:
            self._patience.body_since = INFINITY
            self._buffered += PyBytes_GET_SIZE(part)
            self._exchange.feed(part)
        elif not self._over:
            self._discard -= PyBytes_GET_SIZE(part)
            if self._discard < 0:
                self._finish()
        return 0

    cdef int _body_ended(self) except -1:
        self._has_body = False
        self._chunks = None
        self._patience.body_since = INFINITY
        if self._exchange is not None:
            self._exchange.feed_end()
        return 0

    cdef int _break_body(self, violation, error) except -1:
        """The body will never be complete: answer at once if nothing has been said yet."""
        cdef H1Exchange exchange = self._exchange
        self._deaf = True
        self._has_body = False
        self._chunks = None
        self._patience.body_since = INFINITY
        if exchange is None:
            return self._finish()
        if exchange.state != AWAITED:
            exchange.feed_error(error)
            return 0
        self._exchange = None
        answer, body_bytes = h1_answer.refusal(violation, exchange.head.method.encode())
        self._wire.put(NULL, 0, answer)
        self._finish()
        exchange.overrule(violation, body_bytes, error)
        self.observer.refused(self.peer, violation)
        self._finished(exchange)
        return 0

    cdef bint _begun(self, H1Exchange exchange) noexcept:
        """Some of the body has arrived, so the client does not wait."""
        if not self._has_body or exchange.head.content_length is None:
            return not self._has_body
        return self._left != <long long>exchange.head.content_length

    # --- the wire ------------------------------------------------------------------------------

    cdef int _finish(self) except -1:
        """Write out the queue, then close."""
        if not self._over:
            self._leave()
            self._wire.finish()
        return 0

    cdef int _leave(self) except -1:
        """Nothing more is asked of the wire, and nothing is waited for."""
        self._over = True
        self._has_body = False
        self._chunks = None
        self._window_size = 0
        self._held = None
        self._intake = None
        self._section = None
        self.deadline = INFINITY
        return 0

    cdef int _lose_exchange(self) except -1:
        cdef H1Exchange exchange = self._exchange
        self._exchange = None
        if exchange is not None:
            exchange.lose(None)
            self._finished(exchange)
        return 0

    cdef int _mind_flow(self) except -1:
        """Let the peer wait while there is more here than can be worked on."""
        cdef bint full = self._buffered > BUFFERED_BYTES or (
            self._available() > PIPELINED_BYTES and not self._idle()
        )
        if full != self._paused:
            self._paused = full
            if full:
                self._wire.pause()
            else:
                self._wire.resume()
        return 0

    # --- time ----------------------------------------------------------------------------------

    cdef int _schedule(self) except -1:
        self.deadline = min(self._read_by(), self._write_deadline)
        return 0

    cdef double _read_by(self) except -1:
        """When the patience with what the peer should send ends."""
        cdef Patience* patience = &self._patience
        if self._exchange is not None:
            return patience.body_since + self._terms.body_s
        if self._has_body:
            return patience.since + self._terms.idle_s
        if not self._room:
            return INFINITY
        if self._available():
            return max(patience.head_since, patience.since) + self._terms.head_s
        return patience.since + min(patience.request_s, patience.drain_idle_s)

    cdef int _expire_read(self) except -1:
        if self._exchange is not None:
            violation = RequestTimeout("the body did not arrive in time", "RFC 9110 15.5.9")
            return self._break_body(violation, violation)
        if not self._has_body and self._available():
            return self._refuse(
                RequestTimeout("the head did not arrive in time", "RFC 9110 15.5.9")
            )
        return self._finish()

    cdef bint _stalled(self) except -1:
        """Whether the peer has taken nothing since it was last looked at."""
        cdef long long taken = self._taken
        self._look()
        return self._taken <= taken

    cdef int _look(self) except -1:
        self._taken = self._written - self._wire.queued()
        self._write_deadline = self._clock.now + self._terms.write_s
        return 0
