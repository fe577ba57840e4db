# Types for the compiled form of message.py; what each attribute is stands there.

cdef class Peer:
    cdef public object client
    cdef public object server
    cdef public str scheme
    cdef public object prepared

cdef class RequestHead:
    cdef public str method
    cdef public bytes raw_path
    cdef public bytes query
    cdef public bytes authority
    cdef public str version
    cdef public list fields
    cdef public object content_length
    cdef public bint expects_continue
