# Types for the compiled form of access_log.py; what each of them does stands there.


cdef class AccessLog:
    cdef list _getters
    cdef object _later
    cdef list _lines
    cdef str _pattern
    cdef public object file

    cpdef str line(self, exchange)
    cpdef write(self, exchange)
