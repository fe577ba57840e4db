# Types for the compiled form of talk.py; what each of them does stands there.

from granian_d.interface.acts cimport Act, wake
from granian_d.interface.calls cimport Call, Calls


cdef class Talk(Call):
    cdef Calls _calls
    cdef tuple _readers
    cdef tuple _writers

    cpdef received(self)
    cpdef take(self, message)
    cpdef watch(self)
    cpdef unwatch(self)
    cpdef check_peer(self)
    cdef _wake_all(self)


cdef class Receiving(Act):
    cdef Talk _talk


cdef class Sending(Act):
    cdef Talk _talk
    cdef object _message
