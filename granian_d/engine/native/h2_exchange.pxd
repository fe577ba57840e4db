# One stream of HTTP/2: its Exchange, and what its two windows have left.

from granian_d.engine.native.answer cimport Answer, Framing
from granian_d.engine.native.h2_outflow cimport H2Outflow
from granian_d.engine.native.wire cimport NativeEndpoint, NativeWire
from granian_d.http.exchange cimport Exchange


cdef class H2Exchange(Exchange):
    cdef H2Outflow connection
    cdef unsigned int number
    cdef bint hidden  # the application has not seen it: the engine answers
    cdef bint closed  # both directions have ended, or the stream was reset
    # The request
    cdef bint remote_ended  # END_STREAM has arrived
    cdef bint deaf  # the body is of no use any more: what arrives is dropped
    cdef bint has_body  # the application may still get some of it
    cdef bint continued
    cdef long long body_left  # of the Content-Length; -1: it was not said
    cdef long long body_count  # octets that have arrived
    cdef long long recv_window  # the peer may send so much more
    cdef long long credit  # octets taken, for which it has no window yet
    cdef long long buffered  # octets that nobody has taken
    cdef double body_since  # the application waits for the body; INFINITY: it does not
    # The response
    cdef Answer _answer
    cdef Framing _framing
    cdef long long _left_of_answer
    cdef bint head_out
    cdef bint sent_end  # END_STREAM has been written
    cdef bint _head_request
    cdef long long window  # the peer takes so much more
    cdef object queue  # deque of bytes that wait; None while there was none
    cdef Py_ssize_t queue_at  # octets of the first that are sent
    cdef Py_ssize_t queued
    cdef bint ends  # behind the queue is the end
    cdef list trailers
    cdef bint waits  # is in the connection's list
    cdef bint told_full
    cdef double moved_at
    # RFC 9218
    cdef int urgency
    cdef bint incremental
    cdef unsigned long long served_at
    # Another protocol (RFC 8441)
    cdef NativeEndpoint tunnelled
    cdef object offer  # what a request for a WebSocket asks for
    cdef bint tunnel_paused

    cdef int prepare(self, H2Outflow connection, unsigned int number) except -1
    cdef int lose(self, error) except -1
    cdef int reply(self, violation) except -1
    cdef int overrule(self, violation, error) except -1
    cdef int tell_room(self) except -1
    cdef int write_trailers(self) except -1
    cdef bint put(self, bytes data, bint last) except -1
    cdef int _demand(self, str move) except -1
    cdef bint _put(self, bytes data, bint last, list trailers) except -1
    cdef int _check_length(self, Py_ssize_t count, bint last) except -1
    cdef int _open(self, bint last) except -1
    cdef bint _send(self, bytes data, bint last, list trailers) except -1
    cdef bint _ended_at_once(self) except -1


cdef class StreamWire(NativeWire):
    cdef H2Exchange _exchange
    cdef bint _ended
