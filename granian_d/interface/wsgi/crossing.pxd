# Types for the compiled form of crossing.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange

cdef int _AWAITED


cdef class Crossing:
    cdef object _changed
    cdef Exchange _exchange
    cdef object _fault
    cdef list _fields
    cdef Py_ssize_t _held_bytes
    cdef bint _last
    cdef object _loop
    cdef list _parts
    cdef bint _posted
    cdef object _status
    cdef Py_ssize_t _taken_bytes

    cdef start(self, status, list fields)
    cdef put(self, part, bint last)
    cdef put_file(self, part)
    cdef crash(self, error)
    cdef _open(self)
    cdef _refused(self, error)
    cdef _stop(self, fault)
