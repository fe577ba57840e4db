# Types for the compiled form of protocol.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange
from granian_d.interface.rsgi.headers cimport encode_headers

cdef int _FINISHED


cdef class HTTPProtocol:
    cdef object __weakref__
    cdef bint _body_taken
    cdef Exchange _exchange
    cdef object _file
    cdef bint _iterating
    cdef object _loop
    cdef tuple _readers
    cdef readonly bint responded

    cdef _take_body(self)
    cdef _respond(self, status, headers, bytes body)
    cdef _respond_file(self, status, headers, path, start, end)
    cdef _send_file(self, status, list fields, start, end)
    cdef bint _start(self, status, list fields) except -1
    cdef _send(self, bytes body, bint last)
    cdef _close_file(self)
