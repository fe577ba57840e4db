# Types for the compiled form of thread_call.py; what each of them does stands there.

from granian_d.interface.wsgi.call cimport WsgiCall
from granian_d.interface.wsgi.crossing cimport Crossing


cdef class ThreadCall(WsgiCall):
    cdef Crossing _crossing

    cdef _answer(self)
    cdef _give(self, result)
