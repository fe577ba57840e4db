# Types for the compiled form of access_log.py; what each of them does stands there.


cdef class _Clock:
    cdef object _form
    cdef str _text
    cdef long long _begin_ns
    cdef long long _end_ns

    cpdef str text(self, long long at_ns)
    cpdef long long milliseconds(self, long long at_ns)


cdef _Clock _time, _time_iso, _time_clf


cdef class AccessLog:
    cdef list _getters
    cdef object _later
    cdef list _lines
    cdef str _pattern
    cdef public object file
    cdef public bint wants_ids

    cpdef str line(self, exchange)
    cpdef write(self, exchange)
