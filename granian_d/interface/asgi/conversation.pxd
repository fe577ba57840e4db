# Types for the compiled form of conversation.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange
from granian_d.interface.asgi.messages cimport as_bytes, as_fields, as_status, look_up
from granian_d.interface.asgi.talk cimport Talk
from granian_d.interface.calls cimport Calls
from granian_d.interface.fields cimport is_event_stream

cdef int _AWAITED, _STARTED, _FINISHED, _ABORTED
cdef int HEAD, BODY, FILE, TRAILERS, DONE, PART


cdef class Conversation(Talk):
    cdef object _app
    cdef dict _scope
    cdef Exchange _exchange
    cdef int _phase
    cdef bint _request_over
    cdef bint _broken
    cdef bint _announced
    cdef list _fields
    cdef list _trailers
    cdef object _file
    cdef object _forget_gone

    cdef prepare(self, app, dict scope, Exchange exchange, Calls calls)
    cdef _returned_early(self)
    cdef _forget(self)
    cdef _request_message(self)
    cdef _with_following(self, bytes part)
    cdef _take_start(self, message)
    cdef bint _take_body(self, message) except -1
    cdef _take_trailers(self, message)
    cpdef _check(self, str kind)
    cpdef _over(self)
    cpdef bint _ended_below(self) except -1


@cython.locals(conversation=Conversation)
cpdef Conversation new_conversation(app, dict scope, Exchange exchange, Calls calls)
