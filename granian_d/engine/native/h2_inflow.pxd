# The reading half of an HTTP/2 connection: octets to frames.

from granian_d.engine.native.h2_outflow cimport H2Outflow


cdef enum:
    SELF_DEPENDENT = 256  # beside the flags of HEADERS: a priority of RFC 7540 that cannot be
    # What is counted beside frames by their types: see engine.pure.h2_attacks.
    UNKNOWN = 10
    UPDATES = 11  # PRIORITY_UPDATE
    RESETS = 12
    EMPTY_DATA = 13
    UNREAD_ANSWERS = 14
    KINDS = 15


cdef class H2Inflow(H2Outflow):
    cdef bytearray _held  # the beginning of a frame
    cdef bint _greeted  # our SETTINGS are written
    cdef bint _preface_read
    cdef bint settled  # the peer's first SETTINGS have arrived
    cdef unsigned int last_number  # the highest one of a stream that the peer has begun
    cdef double heard_at
    cdef int[KINDS] _counts  # of what keeps us busy with nothing
    cdef double _counted_since
    # A field block that has not ended
    cdef bytearray _block
    cdef unsigned int _block_number  # of its stream; 0: there is none
    cdef int _block_flags
    cdef int _block_frames
    cdef double block_since

    cdef int greet(self) except -1
    cdef int _read(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t _needed(self, bytearray held) except -1
    cdef Py_ssize_t _unit(self, const char* data, Py_ssize_t size) except -1
    cdef int _frame(
        self, int kind, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int check_begun(self, unsigned int number) except -1
    cdef int _headers(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int _continuation(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int _settings(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int apply_settings(self, const char* data, Py_ssize_t size) except -1
    cdef int _set(self, int name, unsigned int value) except -1
    cdef int _set_first_window(self, unsigned int value) except -1
    cdef int _ping(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int _window_update(
        self, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int _priority(self, unsigned int number, const char* data, Py_ssize_t size) except -1
    cdef int _priority_update(
        self, unsigned int number, const char* data, Py_ssize_t size
    ) except -1
    cdef int count(self, int what) except -1
    cdef int answered(self) except -1
    cdef int goaway(self, unsigned int last, unsigned int code) except -1
    cdef int send_ping(self, int flags, const char* payload) except -1
    # What H2Endpoint does with them
    cdef int on_fields(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size
    ) except -1
    cdef int on_data(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size, Py_ssize_t padding
    ) except -1
    cdef int on_reset(self, unsigned int number) except -1
    cdef int on_stream_fault(self, unsigned int number, violation) except -1
    cdef int on_ack(self, const char* payload) except -1
    cdef int on_wishes(self, unsigned int number, bytes value) except -1
    cdef int on_goaway(self) except -1
    cdef int break_off(self, violation) except -1
