# The sending half of an HTTP/2 connection.

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.h2_answer cimport HeadWriter
from granian_d.engine.native.h2_exchange cimport H2Exchange
from granian_d.engine.native.wire cimport NativeEndpoint, NativeWire
from granian_d.http.exchange cimport Observer
from granian_d.http.message cimport Peer


cdef class Bounds:
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
    cdef bint websocket
    cdef Py_ssize_t streams
    cdef Py_ssize_t frame_bytes
    cdef Py_ssize_t fields_bytes
    cdef long long connection_window
    cdef long long stream_window
    cdef bint adaptive
    cdef Py_ssize_t send_buffer
    cdef double ping_s
    cdef double pong_s
    cdef bytes alt_svc  # a line; None for none


cdef Bounds bounds_of(limits)


cdef class H2Outflow(NativeEndpoint):
    cdef public Peer peer
    cdef public object observer
    cdef Observer counter  # the observer, when C can call it
    cdef Bounds bounds
    cdef Clock clock
    cdef NativeWire wire
    cdef HeadWriter heads
    cdef dict streams  # those that are not closed, by their number
    cdef list waiting  # exchanges whose data wait for a window, for room or for their turn
    cdef bint over
    cdef int batch  # above 0: what is written now leaves together
    # What is written in a batch
    cdef char* _out
    cdef Py_ssize_t _out_size
    cdef Py_ssize_t _out_room
    # What the peer takes
    cdef bint room
    cdef long long window  # of the connection
    cdef long long kept_back  # of it, until the client's preface is here
    cdef long long first_window  # of a new stream
    cdef unsigned long long _turn  # counts frames of DATA: who was served last
    cdef bint told_full  # one of the exchanges was told to wait for room
    cdef bint moved  # a stream has made progress, since that was last looked at
    cdef bint ordered  # a request has said something of its priority
    # Time
    cdef double write_deadline
    cdef double stream_deadline  # no stream's patience ends earlier
    cdef double window_moved_at  # when DATA last went out, or could have
    cdef long long _written
    cdef long long _taken

    cdef char* claim(self, Py_ssize_t size) except NULL
    cdef int flush(self) except -1
    cdef int settle(self) except -1
    cdef int conclude(self) except -1
    cdef int sent_end(self, H2Exchange exchange) except -1
    cdef int frame_32(self, int kind, unsigned int stream, unsigned int number) except -1
    cdef int fields_written(self, H2Exchange exchange, Py_ssize_t size, bint last) except -1
    cdef bint may_send(self, H2Exchange exchange, Py_ssize_t size) noexcept
    cdef int write_data(
        self, H2Exchange exchange, const char* data, Py_ssize_t size, bint last
    ) except -1
    cdef int wait(self, H2Exchange exchange) except -1
    cdef int forget(self, H2Exchange exchange) except -1
    cdef int _pump(self) except -1
    cdef bint _tell_room(self) except -1
    cdef H2Exchange _next(self)
    cdef int _serve_one(self, H2Exchange exchange) except -1
    cdef double stalls_at(self, H2Exchange exchange) except? -1
    cdef bint stalled(self) except -1
    cdef int _look(self) except -1
    cdef int body_wanted(self, H2Exchange exchange) except -1
    cdef int part_taken(self, H2Exchange exchange, Py_ssize_t count) except -1
    cdef int cut(self, H2Exchange exchange, unsigned int code) except -1
    cdef int tunnel_made(self, H2Exchange exchange) except -1
