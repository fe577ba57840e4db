# Types for the compiled form of calls.py; what each of them does stands there.

from granian_d.interface.gate cimport Gate
from granian_d.interface.stepping cimport copied, count_holders, run_in, step

cdef object _RETURNED, _enter_task, _leave_task


cdef class Call:
    cdef public object task
    cdef public bint given_up

    cpdef begin(self)
    cpdef returned(self)
    cpdef raised(self, error)
    cpdef bint answers(self, exchange) except -1


cdef class Calls:
    cdef public object loop
    cdef public bint closing
    cdef public int holders
    cdef object _context
    cdef Carrier _spare
    cdef set _waiting

    cpdef start(self, Call call)
    cpdef prepare(self)
    cpdef context(self)
    cpdef bint spare(self, Carrier carrier) except -1
    cpdef learn_holders(self, int count)
    cpdef bint forget(self, Carrier carrier) except -1
    cpdef waits(self, Call call)
    cpdef ended(self, Call call)


cdef class Carrier:
    cdef object __weakref__
    cdef public object context
    cdef public int count
    cdef object _awaited
    cdef Call _call
    cdef Calls _calls
    cdef object _coroutine
    cdef bint _dismissed
    cdef Gate _gate
    cdef bint _handed_over
    cdef object _loop
    cdef object _task
    cdef bint _touched

    cpdef carry(self, Call call)
    cdef _put_off(self, Call call)
    cdef _begin_within(self, Call call)
    cdef _begin(self, Call call)
    cdef _hand_over(self, Call call, awaited)
    cdef _give_task(self, Call call)
    cdef _begin_late(self, Call call)
    cdef _go_on(self, step, value)
    cdef _end_call(self, failure)
    cdef enter(self, Call call)
    cdef _take_over(self)
    cdef _take_over_cancelled(self, error)
    cdef _leave(self)


cpdef _take_first_step(Carrier carrier, Call call)
