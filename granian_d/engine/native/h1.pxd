# One HTTP/1.x connection; see h1.pyx.

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.chunks cimport Chunks
from granian_d.engine.native.h1_exchange cimport H1Exchange
from granian_d.engine.native.head cimport Section
from granian_d.engine.native.wire cimport FileSpan, NativeEndpoint, NativeWire
from granian_d.http.exchange cimport Observer
from granian_d.http.message cimport Peer, RequestHead


cdef struct Patience:
    # Since when something is awaited, and for how long: engine.pure.h1_patience. INFINITY: no limit.
    double since
    double head_since
    double body_since  # INFINITY: nobody waits for the body
    double request_s
    double drain_idle_s


cdef class Terms:
    # The limits of a worker as C sees them, made once for all of its connections.
    cdef object limits
    cdef Py_ssize_t head_bytes
    cdef Py_ssize_t head_fields
    cdef long long body_bytes
    cdef double head_s
    cdef double idle_s
    cdef double body_s
    cdef double write_s
    cdef bint keep_alive
    cdef bytes alt_svc  # a line; None for none


cdef class H1Endpoint(NativeEndpoint):
    cdef public Peer peer
    cdef public object observer
    cdef Observer _counter  # the observer, when C can call it
    cdef object _serve_it  # the service's `serve`
    cdef Section _section
    cdef Terms _terms
    cdef Clock _clock
    cdef NativeWire _wire
    cdef H1Exchange _exchange
    cdef Patience _patience
    # Bytes that belong to no body yet: a window during `feed`, what is left of it between two.
    cdef const char* _window
    cdef Py_ssize_t _window_size
    cdef bytearray _held
    cdef bytes _source
    cdef object _intake
    # The body that is arriving
    cdef bint _has_body
    cdef long long _left
    cdef Chunks _chunks
    cdef Py_ssize_t _buffered
    cdef Py_ssize_t _discard
    # The writing half
    cdef bint _room
    cdef double _write_deadline
    cdef long long _written
    cdef long long _taken
    cdef bint _deaf
    cdef bint _eof
    cdef bint _over
    cdef bint _paused
    cdef bint _busy
    cdef bint _persists
    cdef bint _upgrade  # the head that was read has the field
    cdef object _leave_terms  # of the drain, once it was ordered
    cdef object _service

    cdef bint write(self, const char* data, Py_ssize_t size, bytes body) except -1
    cdef bint write_file(self, bytes head, FileSpan file) except -1
    cdef bint _mind_room(self, bint room) except -1
    cdef bint may_persist(self, H1Exchange exchange, bint whole) except -1
    cdef int body_wanted(self, H1Exchange exchange) except -1
    cdef int part_taken(self, H1Exchange exchange, Py_ssize_t count) except -1
    cdef int answered(self, H1Exchange exchange) except -1
    cdef int cut(self, H1Exchange exchange) except -1
    cdef int _finished(self, H1Exchange exchange) except -1
    cdef int _proceed(self) except -1
    cdef bint _idle(self) noexcept
    cdef Py_ssize_t _available(self) except -1
    cdef bint _begin(self) except -1
    cdef RequestHead _take_head(self)
    cdef RequestHead _take_from_intake(self)
    cdef RequestHead _judge(self, raw)
    cdef int _hold(self) except -1
    cdef int _serve(self, H1Exchange exchange) except -1
    cdef int _refuse(self, violation) except -1
    cdef int become(self, bytes answer, make) except -1
    cdef int _tell_eof(self, H1Exchange exchange) except -1
    cdef int _close_after_eof(self) except -1
    cdef Py_ssize_t _read_body(self, const char* data, Py_ssize_t size, list faults) except -1
    cdef int _give(self, bytes part) except -1
    cdef int _body_ended(self) except -1
    cdef int _break_body(self, violation, error) except -1
    cdef bint _begun(self, H1Exchange exchange) noexcept
    cdef int _finish(self) except -1
    cdef int _leave(self) except -1
    cdef int _lose_exchange(self) except -1
    cdef int _mind_flow(self) except -1
    cdef int _schedule(self) except -1
    cdef double _read_by(self) except -1
    cdef int _expire_read(self) except -1
    cdef bint _stalled(self) except -1
    cdef int _look(self) except -1
