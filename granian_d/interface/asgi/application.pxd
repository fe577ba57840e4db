# Types for the compiled form of application.py; what each of them does stands there.

from granian_d.http.exchange cimport Exchange
from granian_d.http.session cimport Session
from granian_d.interface.asgi.conversation cimport new_conversation
from granian_d.interface.asgi.scope cimport http_scope, session_scope
from granian_d.interface.calls cimport Calls


cdef class AsgiApplication:
    cdef object _app
    cdef Calls _calls
    cdef object _lifespan
    cdef str _root_path
    cdef dict _state
    cdef public list notes

    cpdef serve(self, Exchange exchange)
    cpdef converse(self, Session session)
