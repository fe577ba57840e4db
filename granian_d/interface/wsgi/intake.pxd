# Types for the compiled form of intake.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange
from granian_d.interface.wsgi.application cimport WsgiApplication

cdef Py_ssize_t _COLLECT_BYTES


cdef class Intake:
    cdef Exchange _exchange
    cdef Py_ssize_t _held_bytes
    cdef object _loop
    cdef WsgiApplication _owner
    cdef list _parts
