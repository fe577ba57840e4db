# A body in chunks.


cdef class Chunks:
    cdef object _limits
    cdef object _room  # of the body that may still come, None for no limit
    cdef Py_ssize_t _extensions_room
    cdef Py_ssize_t _trailer_bytes
    cdef Py_ssize_t _trailer_lines
    cdef bytearray _held  # the beginning of a line whose end has not arrived
    cdef unsigned long long _left  # of the chunk
    cdef int _step
    cdef bint ended

    cdef Py_ssize_t read(self, const char* data, Py_ssize_t size, list parts) except -1
    cdef Py_ssize_t _read_size(self, const char* data, Py_ssize_t size) except -1
    cdef int _begin_chunk(self, chunk) except -1
    cdef Py_ssize_t _read_content_end(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t _read_trailer(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t _hold_line(
        self, const char* data, Py_ssize_t size, Py_ssize_t most, too_long
    ) except -1
    cdef bytes _whole_line(self)
