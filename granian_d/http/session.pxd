# Types for the compiled form of session.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange


cdef class Session:
    cdef public Exchange exchange
    cdef public tuple subprotocols
    cdef public int state
    cdef public int code
    cdef public str reason
    cdef public object _messages
    cdef public object _on_readable
    cdef public object _on_room

    cpdef accept(self, subprotocol, fields)
    cpdef pull(self)
    cpdef when_readable(self, callback)
    cpdef bint send(self, data) except -1
    cpdef when_room(self, callback)
    cpdef close(self, object code=*, object reason=*)
    cpdef abort(self)
    cpdef feed(self, message)
    cpdef feed_closed(self, int code, str reason)
    cpdef feed_room(self)
    cpdef _advance(self, str move)
    cpdef _message_taken(self, message)
    cpdef _wake_reader(self)
