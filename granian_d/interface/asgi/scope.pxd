# Types for the compiled form of scope.py; what it does stands there.

cimport cython

from granian_d.http.message cimport Peer, RequestHead
from granian_d.interface.target cimport decode_path, fields_with_host

cdef dict _VERSIONS, _EXTENSIONS, _TEMPLATE


@cython.locals(scope=dict, template=dict)
cpdef dict http_scope(RequestHead head, Peer peer, str root_path, dict state)
