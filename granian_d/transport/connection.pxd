# One connection on its own socket; see connection.pyx.

cimport cython

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.wire cimport NativeEndpoint
from granian_d.transport.outflow cimport Outflow
from granian_d.transport.poll cimport Poll, PolledWire


cdef class Owner:
    cdef Poll poll
    cdef Clock clock
    cdef Py_ssize_t high_water
    cdef Py_ssize_t low_water
    cdef double write_s
    cdef double linger_s

    cdef int lost(self, DirectConnection connection) except -1


@cython.final
cdef class DirectConnection(PolledWire):
    cdef Owner owner
    cdef NativeEndpoint endpoint  # None before it is made, and once it has been told of the end
    # Reading
    cdef bint _readable  # the socket may have something
    cdef bint _hung_up  # behind what it has there is the end
    cdef bint _gone  # and nobody is there to be answered
    cdef bint _paused
    cdef bint _eof
    # Writing
    cdef bint _feeding  # what is written now is put together in the poll's output
    cdef Py_ssize_t _output_at  # where
    cdef Py_ssize_t _output  # octets that are there
    cdef Outflow _outflow  # None while there is nothing in it
    cdef Py_ssize_t _burst  # octets that the socket took without a pause of ours
    cdef bint _full  # `put` has said so
    cdef bint _flushes_on  # the socket has room, but the share of the turn was used up
    cdef bint _awaits_room  # the poll has been asked for EPOLLOUT
    # The end
    cdef bint _finishing
    cdef bint _half_closed
    cdef double _patience_until  # when a finished connection is given up, unless its queue moves
    cdef Py_ssize_t _unsent  # octets, when that was last looked at

    cdef double due(self) except? -1
    cdef int expire(self, double passed) except -1
    cdef int drain(self, leave) except -1
    cdef int _read(self) except -1
    cdef int _feed(self, Py_ssize_t count) except -1
    cdef int _end(self) except -1
    cdef int _send_output(self) except -1
    cdef int _send(self, const char* data, Py_ssize_t size, bytes body) except -1
    cdef int _flush(self) except -1
    cdef int _hand_over(self) except -1
    cdef int _watch_room(self) except -1
    cdef int _tell_room(self) except -1
    cdef int _half_close(self) except -1
    cdef Py_ssize_t _unsent_octets(self) except -1
    cdef int _wait_for_peer(self, Py_ssize_t unsent) except -1
    cdef int _close(self) except -1
    cdef int _lose(self) except -1
    cdef int _look_at_queue(self, double passed) except -1
