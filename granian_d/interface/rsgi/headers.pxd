# Types for the compiled form of headers.py; what each of them does stands there.

cimport cython

cdef dict _names

@cython.locals(plain=str)
cpdef list encode_headers(headers)
@cython.locals(character="Py_UCS4")
cdef bint _is_plain(str value) except -1
cdef bytes _encode_name(str name)
cdef _add_odd_value(list fields, bytes name, value)
