# Types for the compiled form of application.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange
from granian_d.http.session cimport Session
from granian_d.interface.calls cimport Call, Calls
from granian_d.interface.rsgi.protocol cimport HTTPProtocol

cdef int _AWAITED, _FINISHED


cdef class RsgiCall(Call):
    cdef object _app
    cdef Calls _calls
    cdef Exchange _exchange
    cdef HTTPProtocol _protocol

    cdef prepare(self, app, Exchange exchange, Calls calls)
    cdef _silent(self)
    cdef _fail(self)


@cython.locals(call=RsgiCall)
cdef RsgiCall _call(app, Exchange exchange, Calls calls)


cdef class RsgiApplication:
    cdef object _app
    cdef Calls _calls
    cdef object _loop
    cdef object _target
    cdef public list notes

    cpdef serve(self, Exchange exchange)
    cpdef converse(self, Session session)
