# One WebSocket conversation: its endpoint, and its Session.

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.wire cimport NativeEndpoint, NativeWire
from granian_d.engine.native.ws_intake cimport Intake
from granian_d.http.exchange cimport Exchange
from granian_d.http.session cimport Session


cdef class Terms:
    # The limits of a worker as C sees them, made once for all of its conversations.
    cdef object limits
    cdef long long frame_bytes
    cdef long long message_bytes
    cdef double interval_s
    cdef double timeout_s
    cdef double write_s
    cdef bint compress


cdef struct Patience:
    # Points in time, INFINITY where nothing is awaited: engine.pure.ws_patience.
    double ping_at
    double pong_by
    double close_by
    double leave_at


cdef class WsSession(Session):
    cdef WsEndpoint _endpoint
    cdef object _offer
    cdef object _deflate
    cdef object _take_back
    cdef Terms _terms
    cdef Clock _clock


cdef class WsEndpoint(NativeEndpoint):
    cdef NativeWire _wire
    cdef WsSession _session
    cdef Exchange _exchange
    cdef Terms _terms
    cdef Clock _clock
    cdef Intake _intake
    cdef object _deflater
    cdef Patience _patience
    # What the application is too slow for, from `_at` on
    cdef bytes _rest
    cdef Py_ssize_t _at
    cdef Py_ssize_t _buffered
    # The writing half
    cdef double _write_deadline
    cdef long long _written
    cdef long long _taken
    cdef bytes _pong
    cdef int _said
    cdef int _fault
    cdef bint _room
    cdef bint _is_leaving
    cdef bint _restarting
    cdef bint _eof
    cdef bint _over
    cdef bint _paused
    cdef bint _reading

    cdef bint send(self, data) except -1
    cdef int close(self, int code, reason) except -1
    cdef int abort(self) except -1
    cdef bint give_up(self) except -1
    cdef int message_taken(self, Py_ssize_t count) except -1
    cdef int _go_on(self) except -1
    cdef Py_ssize_t _read(self, const char* data, Py_ssize_t size) except -1
    cdef bint _is_full(self) noexcept
    cdef int _act(self) except -1
    cdef int _take_message(self) except -1
    cdef int _find_fault(self, int code) except -1
    cdef int _say(self, int code, reason) except -1
    cdef int _say_leave(self) except -1
    cdef int _mind_silence(self) except -1
    cdef int _end(self, int code) except -1
    cdef int _finish(self, int code, str reason) except -1
    cdef int _leave(self, int code, str reason) except -1
    cdef bint _put(self, const char* data, Py_ssize_t size, bytes body) except -1
    cdef int _put_control(self, unsigned char opcode, bytes payload) except -1
    cdef int _heard(self) noexcept
    cdef int _settle(self) except -1
    cdef int _schedule(self) noexcept
    cdef bint _stalled(self) except -1
    cdef int _look(self) except -1
