# What a socket has not taken yet; see outflow.pyx.

from granian_d.engine.native.wire cimport FileSpan

cdef enum Handover:
    EMPTIED  # the socket has taken all
    TAKEN  # all that it was offered, and there is more
    FULL  # it takes no more now
    BROKEN  # it will never take more, or a file has not what it was to give

cdef ssize_t offer(int fd, const char* data, Py_ssize_t size, bytes body) noexcept


cdef class Outflow:
    cdef Py_ssize_t size  # octets in it, those of files among them
    cdef int files  # of which some is left
    cdef object _parts  # bytes and FileSpan
    cdef Py_ssize_t _offset  # into the first of them

    cdef int keep(self, const char* data, Py_ssize_t size, bytes body, Py_ssize_t taken) except -1
    cdef int keep_file(self, FileSpan file) except -1
    cdef Handover hand_over(self, int fd) except *
    cdef Handover _hand_over_file(self, int fd, FileSpan file) except *
    cdef Handover _read_on(self, FileSpan file) except *
    cdef int _advance(self, FileSpan file, Py_ssize_t count) except -1
    cdef int _drop(self, Py_ssize_t count) except -1
