# What a worker was asked for last; see last_request.py.

cimport cython

from granian_d.http.exchange cimport Exchange


@cython.final
cdef class LastRequest:
    cdef unsigned long long[::1] _row
    cdef unsigned long long* _last_ns
    cdef char* _text
    cdef Py_ssize_t _used  # octets of it that are not zero

    cpdef begun(self, Exchange exchange)
