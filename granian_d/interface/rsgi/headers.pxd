# Types for the compiled form of headers.py; what each of them does stands there.

cdef dict _names

cpdef list encode_headers(headers)
cdef bytes _encode_name(str name)
cdef _add_odd_value(list fields, bytes name, value)
