# Types for the compiled form of exchange.py; what each of them does stands there.

from granian_d.http.message cimport Peer, RequestHead


cdef class Observer:
    cpdef began(self, Exchange exchange)
    cpdef finished(self, Exchange exchange)


cdef class Exchange:
    cdef public RequestHead head
    cdef public Peer peer
    cdef public object observer
    cdef public int state
    cdef public int status
    cdef public long long received_bytes
    cdef public long long sent_bytes
    cdef public long long started_ns
    cdef public bint gone
    cdef public object _parts
    cdef public bint _ended
    cdef public object _body_error
    cdef public object _on_readable
    cdef public object _on_room
    cdef public list _on_gone

    cpdef pull(self)
    cpdef when_readable(self, callback)
    cpdef when_gone(self, callback)
    cpdef inform(self, object status, fields)
    cpdef start(self, object status, fields)
    cpdef bint send(self, data, bint last=*) except -1
    cpdef when_room(self, callback)
    cpdef finish(self, trailers=*)
    cpdef tunnel(self, fields, make)
    cpdef close_tunnel(self)
    cpdef abort(self)
    cpdef fail(self)
    cpdef feed(self, bytes part)
    cpdef feed_end(self)
    cpdef feed_error(self, error)
    cpdef feed_gone(self)
    cpdef feed_room(self)
    cpdef _advance(self, str move)
    cpdef _part_taken(self, bytes part)
    cpdef _body_wanted(self)
    cpdef _wake_reader(self)
