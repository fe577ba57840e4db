# Types for the compiled form of messages.py; what each of them does stands there.

cimport cython


@cython.locals(plain=dict)
cpdef look_up(message, str key, default)
cpdef as_status(message)
cpdef list as_fields(headers)
cdef bint _is_field(tuple pair) except -1
cpdef bytes as_bytes(value, str what)
cpdef str as_text(value, str what)
