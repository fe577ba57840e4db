# Types for the compiled form of call.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange
from granian_d.interface.wsgi.response cimport encode_fields, length_of, parse_status

cdef list _NO_FIELDS


cdef class WsgiCall:
    cdef object _app
    cdef object _body
    cdef bint _complete
    cdef object _declared
    cdef dict _environ
    cdef list _fields
    cdef bint _given
    cdef long long _sent_bytes
    cdef bint _single
    cdef object _status
    cdef public Exchange exchange
    cdef public bint started
    cdef public bint wrote

    cdef _prepare(self, app, dict environ, body, Exchange exchange)
    cdef write(self, part)
    cdef _put_whole(self, parts)
    cdef _parts_of(self, result)
    cdef _put_next(self, part)
    cdef _end(self)
    cdef _put_file(self, part)
    cdef _add(self, part)
    cdef _put(self, part, bint last)
    cdef _check_given(self)
    cdef _check_enough(self, long long total)
    cdef _start(self)
    cdef _send(self, part, bint last)
    cdef _send_file(self, part)
