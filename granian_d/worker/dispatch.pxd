# Types for the compiled form of dispatch.py; what each of them does stands there.

cimport cython

from granian_d.http.exchange cimport Exchange, Observer
from granian_d.http.ticks cimport now_ns
from granian_d.worker.last_request cimport LastRequest

cdef Py_ssize_t _ACTIVE, _REQUESTS, _CRASHED, _REFUSED, _SENT_BYTES, _LATENCY_NS, _CALMED
cdef Py_ssize_t _RECEIVED_BYTES, _ANSWERS, _OTHER, _CONVERSATIONS, _CONVERSED
cdef Py_ssize_t _HISTOGRAM, _BUCKETS, _SHIFT


cdef class Dispatch(Observer):
    cdef object _access_log
    cdef object _interface
    cdef object _serve
    cdef LastRequest _last
    cdef object _log
    cdef object _peer_of
    cdef unsigned long long[::1] _row
    cdef public object observer

    cpdef serve(self, Exchange exchange)
    @cython.locals(latency_ns="long long", left="long long", bucket="Py_ssize_t")
    cdef _time(self, Exchange exchange)
