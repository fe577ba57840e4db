# Types for the compiled form of application.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange
from granian_d.http.session cimport Session
from granian_d.interface.asgi.conversation cimport new_conversation
from granian_d.interface.asgi.scope cimport http_scope, session_scope
from granian_d.interface.calls cimport Calls


cdef class AsgiApplication:
    cdef object _app
    cdef bint _at_leave
    cdef Calls _calls
    cdef bint _debug
    cdef object _lifespan
    cdef object _loop
    cdef str _root_path
    cdef object _shutdown
    cdef dict _state
    cdef public list notes

    cpdef serve(self, Exchange exchange)
    cpdef converse(self, Session session)
