# Types for the compiled form of visit.py; what each of them does stands there.

cimport cython

from granian_d.http.ticks cimport now_ns
from granian_d.http.turn cimport Turn

cdef object _set_running_loop


cdef class Visit:
    cdef public bint _asleep
    cdef object _beat
    cdef double _beat_s
    cdef object _clock_ns
    cdef bint _closing
    cdef long long _entered_ns
    cdef bint _hidden
    cdef bint _inside
    cdef object _loop
    cdef object _news
    cdef object _thread
    cdef bint _ticks
    cdef Turn _turn
    cdef long long _visits
    cdef public long long spent_ns

    cpdef enter(self)
    @cython.locals(left_ns="long long")
    cpdef leave(self)
    cdef _hide(self)
    cdef _rouse(self)
