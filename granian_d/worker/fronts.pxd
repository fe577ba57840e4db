# Types for the compiled form of fronts.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange
from granian_d.http.message cimport RequestHead
from granian_d.worker.dispatch cimport Dispatch


cdef Py_ssize_t _STATIC, _STATIC_ERRORS


cdef class Front:
    cpdef bint serve(self, Exchange exchange) except -1
    cpdef bint converse(self, Exchange exchange) except -1
    cpdef bint hides(self, Exchange exchange) except -1


cdef class Health(Front):
    cdef bytes _path
    cdef object _health

    @cython.locals(head=RequestHead)
    cdef bint _asks(self, Exchange exchange) except -1


cdef class Files(Front):
    cdef unsigned long long[::1] _row
    cdef object _serve


cdef class FrontedDispatch(Dispatch):
    cdef list _fronts

    @cython.locals(front=Front)
    cpdef serve(self, Exchange exchange)
    @cython.locals(front=Front)
    cdef bint _hidden(self, Exchange exchange) except -1
