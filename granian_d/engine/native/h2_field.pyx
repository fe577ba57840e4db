"""Fields of HTTP/2 requests, each by itself (RFC 9113 8.2, 8.3).

`kind_of` says what a field is and that it is good, as far as it can be sure of it. Entries of the
decoder's tables keep what was said, so a field that comes again is not judged again.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

from granian_d.engine.native.head cimport is_host, path_end
from granian_d.engine.native.octets cimport CLASS, IN_QUERY, IS_DIGIT, TOKEN, is_value

from granian_d.http.semantics import LENGTH_DIGITS

cdef enum:
    MOST_DIGITS = 18  # http.semantics.LENGTH_DIGITS; checked below
    LONGEST_METHOD = 32

assert LENGTH_DIGITS == MOST_DIGITS


cdef inline bint _is(const char* name, const char* word, Py_ssize_t size) noexcept nogil:
    return memcmp(name, word, size) == 0


cdef unsigned char kind_of(bytes name, bytes value) noexcept:
    """What a field is, and that it is good: UNSURE otherwise."""
    cdef const char* at = PyBytes_AS_STRING(name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
    cdef const char* said = PyBytes_AS_STRING(value)
    cdef Py_ssize_t said_size = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t index
    if size == 0:
        return UNSURE
    if at[0] == b":":
        return _kind_of_pseudo(at, size, said, said_size)
    for index in range(size):
        # RFC 9113 8.2.1: tokens, in lower case
        if TOKEN[<unsigned char>at[index]] == 0 or TOKEN[<unsigned char>at[index]] != (
            <unsigned char>at[index]
        ):
            return UNSURE
    if said_size and (
        said[0] == b" " or said[0] == b"\t"
        or said[said_size - 1] == b" " or said[said_size - 1] == b"\t"
    ):
        return UNSURE
    if not is_value(said, said_size):
        return UNSURE
    if size == 2:
        if _is(at, b"te", 2) and not (said_size == 8 and _is(said, b"trailers", 8)):
            return UNSURE
    elif size == 4:
        if _is(at, b"host", 4):
            return HOST if is_host(said, said_size) else UNSURE
    elif size == 6:
        if _is(at, b"cookie", 6):
            return COOKIE
        if _is(at, b"expect", 6):
            return UNSURE
    elif size == 7:
        if _is(at, b"upgrade", 7):
            return UNSURE
    elif size == 8:
        if _is(at, b"priority", 8):
            return PRIORITY
    elif size == 10:
        if _is(at, b"connection", 10) or _is(at, b"keep-alive", 10):
            return UNSURE
    elif size == 14:
        if _is(at, b"content-length", 14):
            if not 0 < said_size <= MOST_DIGITS:
                return UNSURE
            for index in range(said_size):
                if not CLASS[<unsigned char>said[index]] & IS_DIGIT:
                    return UNSURE
            return LENGTH
    elif size == 16:
        if _is(at, b"proxy-connection", 16):
            return UNSURE
    elif size == 17:
        if _is(at, b"transfer-encoding", 17):
            return UNSURE
    return PLAIN


cdef unsigned char _kind_of_pseudo(
    const char* name, Py_ssize_t size, const char* value, Py_ssize_t value_size
) noexcept nogil:
    cdef Py_ssize_t index
    cdef const char* at
    if size == 7 and _is(name, b":method", 7):
        if not 0 < value_size <= LONGEST_METHOD or (
            value_size == 7 and _is(value, b"CONNECT", 7)
        ):
            return UNSURE
        for index in range(value_size):
            if TOKEN[<unsigned char>value[index]] == 0:
                return UNSURE
        return METHOD
    if size == 7 and _is(name, b":scheme", 7):
        if value_size == 4 and _is(value, b"http", 4):
            return SCHEME
        return SCHEME if value_size == 5 and _is(value, b"https", 5) else UNSURE
    if size == 5 and _is(name, b":path", 5):
        at = path_end(value, value + value_size)
        if at == NULL:
            return UNSURE
        if at < value + value_size and at[0] == b"?":
            at += 1
            while at < value + value_size and CLASS[<unsigned char>at[0]] & IN_QUERY:
                at += 1
        return PATH if at == value + value_size else UNSURE
    if size == 10 and _is(name, b":authority", 10):
        return AUTHORITY if is_host(value, value_size) else UNSURE
    return UNSURE
