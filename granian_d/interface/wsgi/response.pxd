# Types for the compiled form of response.py; what each of them does stands there.

cimport cython

from granian_d.interface.fields cimport declared_length

cdef dict _STATUSES, _NAMES
cdef unsigned char _ZERO, _NINE
cdef Py_ssize_t _SAFE_DIGITS


cpdef parse_status(status)
cpdef list encode_fields(headers)
@cython.locals(name=bytes, value=bytes, length="unsigned long long", digit="unsigned char")
cpdef length_of(list fields)
cdef bytes _encode_name(name)
cdef bytes _latin_1(str text)
