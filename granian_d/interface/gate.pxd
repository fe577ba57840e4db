# Types for the compiled form of gate.py; what each of them does stands there.


cdef class Gate:
    cdef public bint _asyncio_future_blocking
    cdef object wakeup
    cdef bint passing
    cdef object _loop
    cdef bint _cancelled
