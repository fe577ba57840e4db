# Types for the compiled form of headers.py; what each of them does stands there.

cpdef list encode_headers(headers)
