# Types for the compiled form of loop_call.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange
from granian_d.interface.wsgi.call cimport WsgiCall
from granian_d.interface.wsgi.lone cimport LoneApplication
from granian_d.interface.wsgi.visit cimport Visit

cdef int _ABORTED
cdef object _CLOSED, _NO_MORE


@cython.final
cdef class LoopCall(WsgiCall):
    cdef object _close
    cdef object _context
    cdef LoneApplication _owner
    cdef object _parts
    cdef bint _room
    cdef Visit _visit
    cdef public bint turned
    cdef public bint waited

    cdef prepare(self, LoneApplication owner, dict environ, body, Exchange exchange)
    cdef run(self)
    cdef bint _is_simple(self, made) except -1
    cdef _answer(self, body)
    cdef _give(self, made)
    cdef _fail(self, error)
    cdef _end_call(self)
    cdef _refuse(self, error)
