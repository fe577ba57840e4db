# Types for the compiled form of message.py; what each attribute is stands there.

cdef class TlsFacts:
    cdef public int version
    cdef public int cipher
    cdef public str cipher_name
    cdef public str server_name
    cdef public str server_certificate
    cdef public tuple client_chain
    cdef public str client_name

cdef class Peer:
    cdef public object client
    cdef public object server
    cdef public str scheme
    cdef public TlsFacts tls
    cdef public object prepared
    cdef public tuple forwarded

cdef class RequestHead:
    cdef public str method
    cdef public bytes raw_path
    cdef public bytes query
    cdef public bytes authority
    cdef public str version
    cdef public list fields
    cdef public object content_length
    cdef public bint expects_continue
    cdef public str protocol
