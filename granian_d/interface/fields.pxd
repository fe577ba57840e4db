# Types for the compiled form of fields.py; what each of them does stands there.

cpdef declared_length(list fields)
cpdef bint is_event_stream(list fields) except -1
