# Types for the compiled form of acts.py; what each of them does stands there.


cdef class Act:
    cdef object _rest

    cpdef _first_step(self)


cpdef wake(tuple waiters)
