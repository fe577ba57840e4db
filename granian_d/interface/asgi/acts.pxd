# Types for the compiled form of acts.py; what each of them does stands there.

from granian_d.interface.asgi.conversation cimport Conversation


cdef class _Act:
    cdef Conversation _conversation
    cdef object _rest

    cpdef _first_step(self)


cdef class Receiving(_Act):
    pass


cdef class Sending(_Act):
    cdef object _message
