# Types for the compiled form of contract.py; what each of them does stands there.


cdef class Clock:
    cdef public double now
