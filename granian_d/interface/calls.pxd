# Types for the compiled form of calls.py; what each of them does stands there.


cdef class Call:
    cdef public object task

    cpdef begin(self)
    cpdef returned(self)
    cpdef raised(self, error)


cdef class Calls:
    cdef public object loop
    cdef public bint closing
    cdef Carrier _spare
    cdef set _waiting

    cpdef start(self, Call call)
    cpdef prepare(self)
    cpdef bint spare(self, Carrier carrier) except -1
    cpdef waits(self, Call call)
    cpdef ended(self, Call call)


cdef class Gate:
    cdef public bint _asyncio_future_blocking
    cdef object _loop
    cdef object _wakeup
    cdef bint cancelled
    cdef bint passing


cdef class Carrier:
    cdef object __weakref__
    cdef object _awaited
    cdef Call _call
    cdef Calls _calls
    cdef object _context
    cdef object _coroutine
    cdef bint _dismissed
    cdef Gate _gate
    cdef bint _handed
    cdef object _loop
    cdef bint _must_cancel
    cdef object _task

    cpdef carry(self, Call call)
    cdef _begin(self, Call call)
    cdef _first_step(self, Call call, context)
    cdef _begin_within(self, Call call)
    cdef _hand_over(self, Call call, awaited)
    cdef _go_on(self, step, value)
    cdef _start(self, Call call)
    cdef _leave(self)
