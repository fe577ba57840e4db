# Types for the compiled form of scope.py; what it does stands there.

cimport cython

from granian_d.http.message cimport Peer, RequestHead
from granian_d.interface.target cimport decode_path, fields_with_host

cdef dict _VERSIONS, _EXTENSIONS, _OF_SESSIONS, _TEMPLATE, _SCHEMES


@cython.locals(scope=dict, template=dict)
cpdef dict http_scope(RequestHead head, Peer peer, str root_path, dict state)
@cython.locals(scope=dict)
cpdef dict session_scope(RequestHead head, Peer peer, tuple subprotocols, str root_path, dict state)
cdef _fill(dict scope, RequestHead head, dict state)
cdef _extend(dict scope, dict extensions)
