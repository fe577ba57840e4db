# Types for the compiled form of application.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange
from granian_d.interface.wsgi.call cimport WsgiCall
from granian_d.interface.wsgi.environ cimport Surroundings


cdef class WsgiApplication:
    cdef object _loop
    cdef public object _pool
    cdef Surroundings _surroundings
    cdef public object app
    cdef public list notes

    cpdef serve(self, Exchange exchange)
    cpdef begin(self, Exchange exchange, body, bint whole)
    cdef WsgiCall _thread_call(self, Exchange exchange, body)
    cdef _submit(self, WsgiCall call)
