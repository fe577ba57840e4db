# Types for the compiled form of scope.py; what it does stands there.

from granian_d.http.message cimport Peer, RequestHead

cpdef dict http_scope(RequestHead head, Peer peer, str root_path, dict state)
