# Types for the compiled form of environ.py; what each of them does stands there.

cimport cython

from granian_d.http.message cimport Peer, RequestHead
from granian_d.interface.target cimport percent_decode

cdef dict _DEFAULT_PORTS, _PROTOCOLS, _SEPARATORS, _KEYS, _SYS
cdef unsigned char _PERCENT


cdef class Surroundings:
    cdef public dict _keys
    cdef bytes _prefix
    cdef dict _template

    @cython.locals(environ=dict, template=dict, raw_path=bytes, path=str, uri=str, query=str)
    cpdef dict environ(self, RequestHead head, Peer peer, body)
    cdef dict _prepare(self, Peer peer)
    @cython.locals(path=bytes)
    cdef str _path_info(self, bytes raw_path)
    @cython.locals(name=bytes, value=bytes, key=str, text=str, size="Py_ssize_t")
    cdef _add_fields(self, dict environ, list fields)
    @cython.locals(key=str)
    cdef str _new_key(self, bytes name)


cdef _add_host(dict environ, list fields)
cdef _name_by_authority(dict environ, bytes authority, str scheme)
