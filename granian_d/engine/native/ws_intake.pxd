# Reading of what a client sends, as whole messages.

from granian_d.engine.native.ws_frames cimport CONTROL_BYTES, HEAD_BYTES, Utf8


cdef class Intake:
    # What `take` has found: an Opcode, and the message or the payload of a control frame.
    cdef int opcode
    cdef object payload

    cdef long long _frame_bytes
    cdef long long _message_bytes
    cdef object _inflater
    # The beginning of a head, or of a control frame, that has not arrived whole
    cdef unsigned char[HEAD_BYTES + CONTROL_BYTES] _held
    cdef int _held_size
    # The data frame that is arriving
    cdef bint _in_frame
    cdef bint _is_last
    cdef long long _left
    cdef unsigned char[4] _key  # for the next octet
    # The message that is arriving
    cdef int _kind  # TEXT or BINARY; NOTHING between two
    cdef bint _is_compressed
    cdef bint _begun  # some of it is in the buffer, or was compressed
    cdef Utf8 _place
    cdef char* _buffer
    cdef Py_ssize_t _size
    cdef Py_ssize_t _capacity

    cdef Py_ssize_t take(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t _begin(self, const unsigned char* at, Py_ssize_t size) except -1
    cdef int _judge(self, unsigned char first, int opcode, long long length) except -1
    cdef Py_ssize_t _take_payload(self, const char* data, Py_ssize_t size) except -1
    cdef int _take_whole(self, const char* data, Py_ssize_t size) except -1
    cdef int _gather(self, const char* data, Py_ssize_t size) except -1
    cdef int _append(self, bytes inflated) except -1
    cdef int _finish(self) except -1
    cdef char* _reserve(self, Py_ssize_t more) except NULL
    cdef long long _most(self) noexcept
