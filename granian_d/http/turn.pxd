# Types for the compiled form of turn.py; what each of them does stands there.

cdef class Turn:
    cdef readonly bint on
    cdef list _behind

    cpdef begin(self)
    cpdef call_behind(self, callback)
    cpdef end(self)
