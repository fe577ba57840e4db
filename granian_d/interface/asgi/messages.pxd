# Types for the compiled form of messages.py; what each of them does stands there.

cpdef as_status(message)
cpdef list as_fields(headers)
cpdef bytes as_bytes(value, str what)
