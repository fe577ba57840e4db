# Types for the compiled form of target.py; what each of them does stands there.

from granian_d.http.message cimport RequestHead

cpdef bytes percent_decode(bytes raw)
cpdef str decode_path(bytes raw)
cpdef list fields_with_host(RequestHead head)
