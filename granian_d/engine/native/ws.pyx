"""One WebSocket conversation in C: frames in, messages up; messages down, frames out.

The rules, the phases and the names are those of `engine.pure.ws`, its reference: whoever changes one
changes both, and the differential tests hold them together. What differs is how octets are held:
messages are read from the transport's buffer, and only what the application is too slow for is kept
in `_rest`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.string cimport memcpy

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.wire cimport NativeEndpoint, native_wire
from granian_d.engine.native.ws_frames cimport (
    BINARY,
    CLOSE,
    CONTROL_BYTES,
    HEAD_BYTES,
    NOTHING,
    PING,
    PONG,
    TEXT,
    write_head,
)
from granian_d.engine.native.ws_intake cimport Intake
from granian_d.http.exchange cimport Exchange
from granian_d.http.session cimport Session

from random import random

from granian_d.engine.pure import ws_close, ws_deflate, ws_patience
from granian_d.errors import InvalidResponse, ProtocolViolation, SessionClosed
from granian_d.http import session
from granian_d.http.handshake import agree_on_deflate, response_fields


cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    Py_ssize_t PyUnicode_GET_LENGTH(object text)


cdef enum:
    BUFFERED_BYTES = 65536  # of messages not pulled yet; reading goes on when half of it is left
    MESSAGE_BYTES = 64  # that a message takes beside its payload, about
    JOINED_BYTES = 65536  # texts up to this size are joined with their head for one write
    FIN = 0x80
    COMPRESSED = 0x40
    OFFERED = 0  # the constants of http.session; checked below
    OPEN = 1
    CLOSING = 2
    CLOSED = 3
    ABNORMAL = 1006

assert (session.OFFERED, session.OPEN, session.CLOSING, session.CLOSED) == (
    OFFERED, OPEN, CLOSING, CLOSED
)
assert session.ABNORMAL == ABNORMAL

cdef Py_ssize_t _COMPRESSED_BYTES = ws_deflate.COMPRESSED_BYTES
cdef double _CLOSE_TIMEOUT_S = ws_patience.CLOSE_TIMEOUT_S
cdef dict _terms_of = {}  # by the identity of Limits: one for each worker

# Where a text is put behind its head. One for the thread that runs the loop: nothing else runs
# between filling it and handing it to the wire.
cdef char[JOINED_BYTES + HEAD_BYTES] _scratch


cdef class Terms:
    """The limits of a worker, as C reads them."""

    def __init__(self, limits):
        self.limits = limits
        self.frame_bytes = limits.websocket.frame_bytes
        self.message_bytes = limits.websocket.message_bytes
        self.interval_s = limits.websocket.ping_interval_s or INFINITY
        self.timeout_s = limits.websocket.ping_timeout_s or INFINITY
        self.write_s = limits.write_timeout_s or INFINITY
        self.compress = limits.websocket.compress


cdef Terms _terms(limits):
    cdef Terms terms = _terms_of.get(id(limits))
    if terms is None or terms.limits is not limits:
        terms = _terms_of[id(limits)] = Terms(limits)
    return terms


def make_session(Exchange exchange not None, offer, limits, Clock clock not None):
    """The conversation that `exchange` asks for, not accepted yet; see engine.contract."""
    return WsSession(exchange, offer, limits, clock)


cdef class WsSession(Session):
    """A conversation; see Session and engine.pure.ws."""

    def __init__(self, Exchange exchange, offer, limits, Clock clock):
        Session.__init__(self, exchange, offer.subprotocols)
        self._offer = offer
        self._terms = _terms(limits)
        self._clock = clock
        self._take_back = exchange.when_gone(self._offer_lost)

    cpdef accept(self, subprotocol, fields):
        """Begin the conversation; see Session."""
        if self.state != OFFERED:
            self._advance("accept")  # raises
        self._deflate = agree_on_deflate(self._offer.extensions) if self._terms.compress else None
        self.exchange.tunnel(
            response_fields(self._offer, subprotocol, self._deflate, fields), self._begin
        )

    cpdef pull(self):
        """The next message, None to wait; see Session."""
        cdef object message = Session.pull(self)
        if message is None and self._endpoint is not None and self._endpoint.give_up():
            return Session.pull(self)  # raises
        return message

    cpdef bint send(self, data) except -1:
        """Send a message; see Session."""
        if self.state != OPEN:
            self._advance("send")  # raises
        return self._endpoint.send(data)

    cpdef close(self, code=1000, reason=""):
        """Say Close; see Session."""
        if self.state == OFFERED:
            self._advance("close")  # raises
        ws_close.judge_close(code, reason)
        if self.state == OPEN:
            self._advance("close")
            self._endpoint.close(code, reason)

    cpdef abort(self):
        """Cut the connection or stream; see Session."""
        if self._endpoint is not None:
            self._endpoint.abort()
        elif self.state == OFFERED:
            self.exchange.abort()
            self.feed_closed(ABNORMAL, "")

    cpdef feed_closed(self, int code, str reason):
        """There will be no other message; see Session."""
        self._endpoint = None
        Session.feed_closed(self, code, reason)

    cpdef _message_taken(self, message):
        cdef Py_ssize_t size
        if self._endpoint is not None:
            if isinstance(message, bytes):
                size = PyBytes_GET_SIZE(message)
            else:
                size = PyUnicode_GET_LENGTH(message)
            self._endpoint.message_taken(size + MESSAGE_BYTES)

    # Handed over as values, so methods of Python.

    def _begin(self, wire):
        """The exchange has become a tunnel."""
        self._advance("accept")
        self._take_back()
        self._take_back = None  # it holds this session
        self._endpoint = WsEndpoint(wire, self)
        return self._endpoint

    def _offer_lost(self):
        if self.state == OFFERED:
            self.feed_closed(ABNORMAL, "")


cdef class WsEndpoint(NativeEndpoint):
    """One conversation at wire level; see engine.contract.Endpoint and engine.pure.ws."""

    def __init__(self, wire, WsSession session):
        self._wire = native_wire(wire)
        self._session = session
        self._exchange = session.exchange
        self._terms = session._terms
        self._clock = session._clock
        self._intake = Intake(
            self._terms.frame_bytes, self._terms.message_bytes, session._deflate
        )
        if session._deflate is not None:
            self._deflater = ws_deflate.Deflater(session._deflate)
        self._room = True
        self._write_deadline = INFINITY
        self._patience.close_by = self._patience.leave_at = INFINITY
        self._heard()
        self._schedule()

    # --- fed by the transport ------------------------------------------------------------------

    cdef int feed(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t count
        if self._over or self._fault:
            return 0
        self._heard()
        if self._rest is not None:
            self._rest = self._rest[self._at:] + PyBytes_FromStringAndSize(data, size)
            self._at = 0
            return self._go_on()
        count = self._read(data, size)
        if count < size and not self._over:
            self._rest = PyBytes_FromStringAndSize(data + count, size - count)
            self._at = 0
            return self._go_on()  # the application may have pulled since
        return self._settle()

    cpdef feed_eof(self):
        """The peer has closed its sending side."""
        if not self._over:
            self._eof = True
            self._go_on()

    cpdef feed_lost(self):
        """The connection is gone in both directions."""
        if not self._over:
            self._leave(ABNORMAL, "")

    cpdef feed_room(self):
        """The wire's queue has fallen below its low-water mark."""
        cdef bytes pong = self._pong
        if self._over:
            return
        self._room = True
        self._write_deadline = INFINITY
        self._pong = None
        if pong is not None:
            self._put_control(PONG, pong)
        self._session.feed_room()
        self._settle()

    cpdef expire(self):
        """`deadline` has passed, or may have."""
        cdef double now = self._clock.now
        if self._over or now < self.deadline:
            return
        if now >= self._write_deadline and self._stalled():
            self.abort()
        elif now >= self._patience.close_by:
            if not self.give_up():
                self._finish(ABNORMAL, "")
        elif now >= self._patience.leave_at:
            self._say_leave()
        elif now >= self._patience.pong_by or now >= self._patience.ping_at:
            self._mind_silence()
        self._settle()

    cpdef drain(self, leave):
        """End the conversation at a moment of its own."""
        if self._over or self._said:
            return
        self._restarting = leave.restarting
        self._patience.leave_at = self._clock.now + leave.spread_s * random()
        if self._clock.now >= self._patience.leave_at:
            self._say_leave()
        self._settle()

    cpdef under_way(self, list found):
        """The request for this conversation."""
        if not self._over:
            found.append(self._exchange)

    cpdef reset(self, exchange):
        """Cut it."""
        if exchange is self._exchange:
            self.abort()

    # --- asked by the session ------------------------------------------------------------------

    cdef bint send(self, data) except -1:
        """Write a message; False when the wire has no room for more."""
        cdef char[HEAD_BYTES] head
        cdef const char* payload
        cdef Py_ssize_t size, count
        cdef unsigned char first
        cdef bytes body = None
        if self._said:
            raise SessionClosed(self._said)
        if isinstance(data, bytes):
            body = data if type(data) is bytes else bytes(data)
            payload, size = PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body)
            first = FIN | BINARY
        elif isinstance(data, str):
            try:
                payload = PyUnicode_AsUTF8AndSize(data, &size)
            except UnicodeEncodeError as error:
                raise InvalidResponse("a text that UTF-8 cannot have") from error
            first = FIN | TEXT
        else:
            raise InvalidResponse(
                f"a message of {type(data).__name__} instead of str or bytes"
            )
        if self._deflater is not None and size >= _COMPRESSED_BYTES:
            body = self._deflater.deflate(PyBytes_FromStringAndSize(payload, size))
            size = PyBytes_GET_SIZE(body)
            first |= COMPRESSED
        self._exchange.sent_bytes += size
        if body is not None:
            count = write_head(head, first, size)
            return self._put(head, count, body)
        if size > JOINED_BYTES:
            body = PyBytes_FromStringAndSize(payload, size)
            count = write_head(head, first, size)
            return self._put(head, count, body)
        # No object is made from here on: nothing can come between and want the buffer.
        count = write_head(_scratch, first, size)
        memcpy(_scratch + count, payload, size)
        return self._put(_scratch, count + size, None)

    cdef int close(self, int code, reason) except -1:
        """Say Close for the application."""
        if not self._said:
            self._say(code, reason)
        if self.give_up():
            return 0
        return self._go_on()  # what it has not pulled does not hold the peer's Close up any more

    cdef int abort(self) except -1:
        """Cut the connection or stream."""
        if not self._over:
            self._over = True
            self._wire.abort()
            self._is_leaving = False
            self._leave(ABNORMAL, "")
        return 0

    cdef bint give_up(self) except -1:
        """End it now if the peer broke a rule: the application has pulled what came before."""
        if self._fault and not self._over:
            self._end(self._fault)
        return self._fault != 0

    cdef int message_taken(self, Py_ssize_t count) except -1:
        """A message has been pulled."""
        self._buffered -= count
        if self._paused and not self._is_full():
            self._heard()  # it could not be heard
            self._go_on()
        return 0

    # --- what arrives --------------------------------------------------------------------------

    cdef int _go_on(self) except -1:
        """Read what was left over, as far as the application keeps up."""
        cdef bytes rest
        if self._reading or self._over:
            return 0
        while self._rest is not None and not self._over and not self._is_full():
            rest = self._rest
            self._at += self._read(
                PyBytes_AS_STRING(rest) + self._at, PyBytes_GET_SIZE(rest) - self._at
            )
            if self._at == PyBytes_GET_SIZE(rest):
                self._rest = None
        if self._eof and self._rest is None and not self._fault:
            self._finish(ABNORMAL, "")
        return self._settle()

    cdef Py_ssize_t _read(self, const char* data, Py_ssize_t size) except -1:
        """Read messages as far as the application keeps up; how many octets that were."""
        cdef Py_ssize_t at = 0
        self._reading = True
        try:
            while at < size and not self._over and not self._is_full():
                at += self._intake.take(data + at, size - at)
                if self._intake.opcode != NOTHING:
                    self._act()
        except ProtocolViolation as violation:
            self._find_fault(violation.close_code)
            at = size  # nobody wants the rest
        finally:
            self._reading = False
        return at

    cdef bint _is_full(self) noexcept:
        """Nothing more is read for now, or ever. Who has said Close need not pull anything."""
        cdef Py_ssize_t most = BUFFERED_BYTES // 2 if self._paused else BUFFERED_BYTES
        return self._fault or (self._buffered > most and self._session.state == OPEN)

    cdef int _act(self) except -1:
        cdef int opcode = self._intake.opcode
        cdef bytes payload
        if opcode < CLOSE:
            return self._take_message()
        payload = self._intake.payload
        if opcode == CLOSE:
            code, reason = ws_close.read_close(payload)
            if not self._said:
                self._say(code, "")  # RFC 6455 5.5.1: the code is echoed
            self._finish(code, reason)
        elif opcode == PING and not self._said:  # RFC 6455 5.5.1: nothing follows a Close
            if self._room:
                self._put_control(PONG, payload)
            else:
                self._pong = payload  # RFC 6455 5.5.3: the last of several is answered
        return 0

    cdef int _take_message(self) except -1:
        cdef object message = self._intake.payload
        cdef Py_ssize_t size
        self._intake.payload = None
        if self._buffered > BUFFERED_BYTES and self._session.state == CLOSING:
            return 0  # nobody waits for it
        if self._intake.opcode == BINARY:
            size = PyBytes_GET_SIZE(message)
        else:
            size = PyUnicode_GET_LENGTH(message)
        self._buffered += size + MESSAGE_BYTES
        self._session.feed(message)
        return 0

    # --- the end -------------------------------------------------------------------------------

    cdef int _find_fault(self, int code) except -1:
        """The peer broke a rule: at once, or when the application had what came before."""
        if self._buffered and self._session.state == OPEN and not self._said:
            self._fault = code
            self._patience.close_by = self._clock.now + _CLOSE_TIMEOUT_S
            return 0
        return self._end(code)

    cdef int _say(self, int code, reason) except -1:
        """Close goes out; nothing of ours follows it."""
        self._said = code
        self._pong = None
        self._patience.leave_at = INFINITY
        self._patience.close_by = self._clock.now + _CLOSE_TIMEOUT_S
        self._heard()
        return self._put_control(CLOSE, ws_close.close_payload(code, reason))

    cdef int _say_leave(self) except -1:
        """The worker leaves."""
        cdef int code = ws_close.RESTARTING if self._restarting else ws_close.GOING_AWAY
        self._say(code, ws_close.REASONS[code])
        self._is_leaving = True
        if not self._over:
            self._session.feed_room()  # who waits to send learns that it cannot
        return 0

    cdef int _mind_silence(self) except -1:
        """Nothing has come for a while: ask, or give up."""
        if self._paused or not self._room:
            self._heard()  # not its fault, or found out by the write timeout
        elif self._clock.now >= self._patience.pong_by:
            self._end(ws_close.NO_PONG)
        else:
            self._patience.ping_at = INFINITY
            self._patience.pong_by = self._clock.now + self._terms.timeout_s
            self._put_control(PING, b"")
        return 0

    cdef int _end(self, int code) except -1:
        """Say why, and end without waiting for an answer (RFC 6455 7.1.7)."""
        cdef str reason = ws_close.REASONS[code]
        if self._over:
            return 0
        if not self._said:
            self._say(code, reason)
        return self._finish(code, reason)

    cdef int _finish(self, int code, str reason) except -1:
        """Write out the queue, then close."""
        if self._over:
            return 0  # the connection was lost over our Close
        self._over = True
        self._exchange.close_tunnel()
        self._wire.finish()
        return self._leave(code, reason)

    cdef int _leave(self, int code, str reason) except -1:
        """Nothing more is asked of the wire, and nothing is waited for."""
        cdef WsSession session = self._session
        self._over = True
        self.deadline = INFINITY
        self._rest = None
        self._exchange.close_tunnel()
        if self._is_leaving:  # because of us, if we were the ones that left
            code, reason = self._said, ws_close.REASONS[self._said]
        session.feed_closed(code, reason)
        return 0

    # --- the wire ------------------------------------------------------------------------------

    cdef bint _put(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Hand a frame to the wire; False when it has no room for more."""
        self._written += size
        if body is not None:
            self._written += PyBytes_GET_SIZE(body)
        self._room = self._wire.put_later(data, size, body)
        if self._room:
            self._write_deadline = INFINITY
        elif not self._over:
            if self._write_deadline == INFINITY:
                self._look()
            self._schedule()
        return self._room

    cdef int _put_control(self, unsigned char opcode, bytes payload) except -1:
        cdef char[HEAD_BYTES + CONTROL_BYTES] frame
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        cdef int head = write_head(frame, FIN | opcode, size)
        memcpy(frame + head, PyBytes_AS_STRING(payload), size)
        self._put(frame, head + size, None)
        return 0

    cdef int _heard(self) noexcept:
        """The peer has sent something, or could not."""
        self._patience.ping_at = INFINITY if self._said else self._clock.now + self._terms.interval_s
        self._patience.pong_by = INFINITY
        return 0

    cdef int _settle(self) except -1:
        """Derive what the wire is asked for."""
        cdef bint full
        if self._over:
            return 0
        full = self._is_full()
        if full != self._paused:
            self._paused = full
            if full:
                self._wire.pause()
            else:
                self._wire.resume()
        self._schedule()
        return 0

    cdef int _schedule(self) noexcept:
        cdef double by = self._write_deadline
        by = min(by, self._patience.ping_at)
        by = min(by, self._patience.pong_by)
        by = min(by, self._patience.close_by)
        self.deadline = min(by, self._patience.leave_at)
        return 0

    cdef bint _stalled(self) except -1:
        """Whether the peer has taken nothing since it was last looked at."""
        cdef long long taken = self._taken
        self._look()
        return self._taken <= taken

    cdef int _look(self) except -1:
        self._taken = self._written - self._wire.queued()
        self._write_deadline = self._clock.now + self._terms.write_s
        return 0
