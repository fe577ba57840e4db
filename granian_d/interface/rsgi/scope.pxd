# Types for the compiled form of scope.py; what each of them does stands there.

from granian_d.http.message cimport Peer, RequestHead


cdef class Scope:
    cdef object __weakref__
    cdef RequestHead _head
    cdef Peer _peer
    cdef str _proto
    cdef object _headers
