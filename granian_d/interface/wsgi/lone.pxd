# Types for the compiled form of lone.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange
from granian_d.interface.wsgi.application cimport WsgiApplication
from granian_d.interface.wsgi.call cimport WsgiCall
from granian_d.interface.wsgi.loop_call cimport LoopCall
from granian_d.interface.wsgi.thread_call cimport ThreadCall
from granian_d.interface.wsgi.visit cimport Visit

cdef int _PROOF_CALLS, _NEVER
cdef long long _SLOW_NS, _BREATH_NS


cdef class LoneApplication(WsgiApplication):
    cdef bint _busy
    cdef object _context
    cdef int _quick_calls
    cdef object _settled
    cdef bint _turning
    cdef object _waiting
    cdef public Visit visit

    @cython.locals(call=LoopCall)
    cpdef begin(self, Exchange exchange, body, bint whole)
    cpdef took(self, bint slow, bint wrote)
    @cython.locals(spent_ns="long long")
    cdef ended(self, LoopCall call)
    cdef soon(self, callback)
    cdef _rest(self)


cdef class _TimedCall(ThreadCall):
    cdef object _clock_ns
    cdef LoneApplication _owner
