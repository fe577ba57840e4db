# Heads of responses as field blocks.

from granian_d.engine.native.answer cimport Answer
from granian_d.engine.native.hpack cimport Encoder


cdef class HeadWriter:
    cdef Encoder encoder
    # The last head that left the encoder's table as it was: equal ones are copied.
    cdef bytes _known_block
    cdef bytes _known_date
    cdef bytes _known_octets
    cdef int _known_status
    cdef long long _known_length
    cdef bint _known_signed
    cdef unsigned long long _known_changes

    cdef Py_ssize_t bound(self, Answer answer) noexcept
    cdef Py_ssize_t write(self, char* to, Answer answer, long long length) except -1
    cdef Py_ssize_t _write(self, char* to, Answer answer, long long length, bytes date) except -1
    cdef Py_ssize_t write_fields(self, char* to, int status, list fields) except -1


cdef Py_ssize_t fields_bound(list fields) except -1
