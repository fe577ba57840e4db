# The endpoint of an HTTP/2 connection: its time and its end.

from granian_d.engine.native.h2_exchange cimport H2Exchange
from granian_d.engine.native.h2_requests cimport H2Requests


cdef class H2Endpoint(H2Requests):
    cdef int _leave(self) except -1
    cdef int _finish(self) except -1
    cdef int _lose_all(self) except -1
    cdef int _expire(self, double now) except -1
    cdef double _ping_at(self) noexcept
    cdef double _body_by(self, H2Exchange exchange) noexcept
    cdef int _expire_body(self, H2Exchange exchange) except -1
    cdef int _await_stream(self, H2Exchange exchange) except -1
    cdef int _expire_streams(self, double now) except -1
