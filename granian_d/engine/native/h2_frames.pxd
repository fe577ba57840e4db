# Frames of HTTP/2 (RFC 9113 4 and 6), their numbers and their heads.

cdef enum:
    # Types
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    PRIORITY_UPDATE = 16  # RFC 9218 7.1
    # Flags
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8
    WITH_PRIORITY = 32
    # Error codes
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    CANCEL = 8
    # Settings
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8  # RFC 8441 3
    NO_RFC7540_PRIORITIES = 9  # RFC 9218 2.1
    # Sizes
    HEAD_BYTES = 9
    LEAST_FRAME = 16384  # of SETTINGS_MAX_FRAME_SIZE, and what holds until it is said
    FIRST_WINDOW = 65535
    MOST_WINDOW = 0x7FFFFFFF


cdef inline unsigned int read_32(const char* at) noexcept nogil:
    cdef const unsigned char* octet = <const unsigned char*>at
    return (
        <unsigned int>octet[0] << 24 | <unsigned int>octet[1] << 16
        | <unsigned int>octet[2] << 8 | octet[3]
    )


cdef inline char* write_32(char* to, unsigned int number) noexcept nogil:
    to[0] = <char>(number >> 24)
    to[1] = <char>(number >> 16)
    to[2] = <char>(number >> 8)
    to[3] = <char>number
    return to + 4


cdef inline char* write_setting(char* to, int name, unsigned int value) noexcept nogil:
    to[0] = 0
    to[1] = <char>name
    return write_32(to + 2, value)


cdef inline char* write_head(
    char* to, Py_ssize_t size, int kind, int flags, unsigned int stream
) noexcept nogil:
    # RFC 9113 4.1
    to[0] = <char>(size >> 16)
    to[1] = <char>(size >> 8)
    to[2] = <char>size
    to[3] = <char>kind
    to[4] = <char>flags
    return write_32(to + 5, stream)
