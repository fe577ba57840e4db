# What the native engine asks of its transport; see engine.contract.Wire.


cdef class FileSpan:
    cdef readonly int fd
    cdef readonly long long offset  # of the octet that is next
    cdef readonly long long left
    cdef readonly bint copied  # sendfile(2) cannot do this file: it is read and sent
    cdef readonly int error  # that reading it came to, an errno; 0: none

    cdef bint is_there(self) noexcept


cdef class NativeWire:
    cdef readonly bint takes_files

    cdef bint put(self, const char* data, Py_ssize_t size, bytes body) except -1
    cdef bint put_later(self, const char* data, Py_ssize_t size, bytes body) except -1
    cdef bint put_file(self, bytes head, FileSpan file) except -1
    cpdef int pause(self) except -1
    cpdef int resume(self) except -1
    cpdef Py_ssize_t queued(self) except -1
    cpdef int switch(self, endpoint) except -1
    cpdef int finish(self) except -1
    cpdef int abort(self) except -1


cdef class NativeEndpoint:
    cdef public double deadline

    cdef double due(self) except? -1
    cdef int feed(self, const char* data, Py_ssize_t size) except -1
    cpdef feed_eof(self)
    cpdef feed_lost(self)
    cpdef feed_room(self)
    cpdef expire(self)
    cpdef drain(self, leave)
    cpdef under_way(self, list found)
    cpdef reset(self, exchange)


cdef NativeWire native_wire(wire)
cdef NativeEndpoint native_endpoint(endpoint)
