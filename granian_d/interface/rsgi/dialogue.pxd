# Types for the compiled form of dialogue.py; what each of them does stands there.

cimport cython

from granian_d.http.session cimport Session
from granian_d.interface.calls cimport Call, Calls
from granian_d.interface.rsgi.websocket cimport WebsocketProtocol


cdef class Dialogue(Call):
    cdef object _app
    cdef Calls _calls
    cdef WebsocketProtocol _protocol
    cdef Session _session

    cdef prepare(self, app, Session session, Calls calls)


@cython.locals(dialogue=Dialogue)
cpdef Dialogue new_dialogue(app, Session session, Calls calls)
