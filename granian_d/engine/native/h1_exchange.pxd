# One request of HTTP/1.x with its response; see h1_exchange.pyx.

from granian_d.engine.native.answer cimport Answer, Framing
from granian_d.engine.native.h1 cimport H1Endpoint
from granian_d.engine.native.wire cimport FileSpan
from granian_d.http.exchange cimport Exchange


cdef class H1Exchange(Exchange):
    cdef bint continued
    cdef bint head_out
    cdef bint passed_on  # the rest of the body is a file that the wire has
    cdef bint persistent
    cdef bint _head_request
    cdef bint _old
    cdef H1Endpoint _endpoint
    cdef Answer _answer
    cdef Framing _framing
    cdef long long _left_of_answer

    cdef int lose(self, error) except -1
    cdef int overrule(self, violation, Py_ssize_t body_bytes, error) except -1
    cdef int _demand(self, str move) except -1
    cdef bint _put(self, bytes data, bint last, list trailers) except -1
    cdef bint _may_pass_on(self, FileSpan file) except -1
    cdef int _pass_on(self, FileSpan file) except -1
    cdef int _check_length(self, Py_ssize_t count, bint last) except -1
    cdef bytes _open(self, long long whole, bint trailers)
