# What a socket has not taken yet; see outflow.pyx.

cdef enum Handover:
    EMPTIED  # the socket has taken all
    TAKEN  # all that it was offered, and there is more
    FULL  # it takes no more now
    BROKEN  # it will never take more

cdef ssize_t offer(int fd, const char* data, Py_ssize_t size, bytes body) noexcept


cdef class Outflow:
    cdef Py_ssize_t size  # octets in it
    cdef object _parts
    cdef Py_ssize_t _offset  # into the first of them

    cdef int keep(self, const char* data, Py_ssize_t size, bytes body, Py_ssize_t taken) except -1
    cdef Handover hand_over(self, int fd) except *
    cdef int _drop(self, Py_ssize_t count) except -1
