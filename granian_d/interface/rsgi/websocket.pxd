# Types for the compiled form of websocket.py; what each of them does stands there.

from granian_d.http.session cimport Session
from granian_d.interface.acts cimport Act, wake

cdef int _CLOSED
cdef object _CLOSE, _BYTES, _STRING


cdef class WebsocketMessage:
    cdef readonly object kind
    cdef object _content


cdef class WebsocketTransport:
    cdef object __weakref__
    cdef bint _closed
    cdef bint _ended
    cdef object _loop
    cdef object _reader
    cdef Session _session
    cdef tuple _writers
    cdef readonly bint departed

    cpdef received(self)
    cpdef take(self, data)
    cpdef close(self, code, str reason)
    cpdef end(self)
    cdef _gone(self)


cdef class WebsocketProtocol:
    cdef object __weakref__
    cdef object _loop
    cdef bint _refused
    cdef Session _session
    cdef WebsocketTransport _transport

    cpdef end(self)


cdef class Receiving(Act):
    cdef WebsocketTransport _transport


cdef class Sending(Act):
    cdef WebsocketTransport _transport
    cdef object _data
