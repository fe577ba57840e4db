# Types for the compiled form of fields.py; what each of them does stands there.

cimport cython

cdef bytes _EVENT_STREAM
cdef Py_ssize_t _EVENT_STREAM_BYTES


cpdef declared_length(list fields)
@cython.locals(name=bytes, value=bytes)
cpdef bint is_event_stream(list fields) except -1
