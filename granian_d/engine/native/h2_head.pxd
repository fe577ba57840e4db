# Heads of HTTP/2 requests, made of decoded fields.

from granian_d.engine.native.hpack cimport Decoder
from granian_d.http.message cimport RequestHead


cdef struct Wishes:
    # RFC 9218 4
    int urgency
    bint incremental


cdef RequestHead make_head(
    Decoder block, bint ended, Py_ssize_t most_fields, long long most_body, Wishes* wishes
)
cdef RequestHead same_head(RequestHead known)
cdef int read_wishes(bytes value, Wishes* wishes) noexcept
