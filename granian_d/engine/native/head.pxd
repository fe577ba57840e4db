# The head of an HTTP/1.x request, read in one pass.

from granian_d.http.message cimport RequestHead


cdef struct Facts:
    Py_ssize_t size  # of the whole head, with the empty line
    long long length  # of the body; -1 when it is chunked
    bint upgrade  # there is a field Upgrade
    bint persists  # the client wants the connection to stay (RFC 9112 9.3)


cdef struct Framing:
    # What the fields have said, each at most once.
    long long length  # -1: nothing
    bint chunked
    bint upgrade
    bint close
    bint keep_alive


cdef class Section:
    cdef bytes octets  # with the empty line; None when they are not worth remembering
    cdef list fields  # shared by the heads that are made of it: nobody changes it
    cdef bytes host
    cdef Framing framing


cdef RequestHead read_head(
    const char* data,
    Py_ssize_t size,
    Py_ssize_t most_fields,
    Facts* facts,
    Section section,
)


cdef str method_name(const char* data, Py_ssize_t size)
cdef const char* path_end(const char* at, const char* end) noexcept nogil
cdef bint is_host(const char* value, Py_ssize_t size) noexcept nogil
