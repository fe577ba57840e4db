# An epoll that the loop watches; see poll.pyx.

from granian_d.engine.native.wire cimport NativeWire
from granian_d.http.turn cimport Turn


cdef extern from "sys/epoll.h" nogil:
    unsigned int EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP


cdef enum:
    INPUT_BYTES = 65536  # one recv: of an upload it wants few, and it stays in the cache
    OUTPUT_BYTES = 65536  # of answers that are put together


cdef class PolledWire(NativeWire):
    cdef int fd  # of the socket; -1 when there is none, or none any more
    cdef Poll poll
    cdef bint waits  # to be looked at again

    cdef int happened(self, unsigned int events) except -1
    cdef int look_again(self) except -1
    cdef int fail(self, error) except -1
    cdef int send_output(self) except -1


cdef class Poll:
    cdef int fd
    cdef char* input
    cdef char* output
    cdef Py_ssize_t output_size  # octets that are there, of the wires in `_outgoing`
    cdef list _outgoing
    cdef long long _held_ns  # since when the first of them waits
    cdef long long _fed_ns  # when a wire was last fed, in this turn
    cdef object _loop
    cdef set _wires
    cdef list _again
    cdef bint _called
    cdef Turn _turn
    cdef object __weakref__

    cdef int fed(self, PolledWire wire, Py_ssize_t output) except -1
    cdef int watch(self, PolledWire wire) except -1
    cdef int watch_room(self, PolledWire wire, bint wanted) except -1
    cdef int close(self, PolledWire wire) except -1
    cdef int later(self, PolledWire wire) except -1
    cdef int report(self, error) except -1
    cdef int let_go(self) except -1
    cdef int _send_outputs(self) except -1
    cdef int _end_turn(self) except -1
    cdef int _control(self, int order, PolledWire wire, unsigned int events) except -1
