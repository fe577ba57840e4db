# Types for the compiled form of dialogue.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange
from granian_d.http.session cimport Session
from granian_d.interface.asgi.messages cimport as_bytes, as_fields, as_status, as_text, look_up
from granian_d.interface.asgi.talk cimport Talk
from granian_d.interface.calls cimport Calls

cdef int _CLOSED, _FINISHED
cdef int OFFERED, OPEN, CLOSING, DENYING, OVER


cdef class Dialogue(Talk):
    cdef object _app
    cdef dict _scope
    cdef Session _session
    cdef Exchange _exchange
    cdef int _phase
    cdef bint _connected
    cdef bint _departed
    cdef object _forget_gone

    cdef prepare(self, app, dict scope, Session session, Calls calls)
    cdef _over(self)
    cdef _forget(self)
    cdef _disconnect(self)
    cdef _take(self, message)
    cdef _accept(self, message)
    cdef bint _send_data(self, message) except -1
    cdef _close(self, message)
    cdef bint _send_body(self, message) except -1
    cdef _check(self, str kind)
    cdef _departure(self)
    cdef bint _ended_below(self) except -1


@cython.locals(dialogue=Dialogue)
cpdef Dialogue new_dialogue(app, dict scope, Session session, Calls calls)
