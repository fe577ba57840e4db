"""The head of an HTTP/1.x request, read in one pass (RFC 9112 2 to 6).

`read_head` knows the heads that clients send and is sure of each octet of those. Of any other,
good or bad, it says nothing: `engine.pure.h1_head` and `http.framing` judge it, so that a rule that
refuses stands once and its words are the same in both engines. What it accepts must be a subset of
what they accept, with the same meaning; the differential tests hold it to that.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memchr, memcmp

from granian_d.engine.native.octets cimport (
    CLASS,
    IN_HOST,
    IN_PATH,
    IN_QUERY,
    IS_DIGIT,
    IS_HEX,
    TOKEN,
    is_value,
    lower_name,
)
from granian_d.http.message cimport RequestHead

from granian_d.http.semantics import LENGTH_DIGITS

cdef enum:
    LONGEST_METHOD = 32  # h1_head judges longer ones
    LONGEST_NAME = 128  # of a field; longer ones are not worth a buffer here
    MOST_DIGITS = 18  # http.semantics.LENGTH_DIGITS; checked below
    REMEMBERED_BYTES = 2048  # of a header section; twice what browsers and proxies send

assert LENGTH_DIGITS == MOST_DIGITS

cdef str _HTTP_1_1 = "1.1"
cdef str _HTTP_1_0 = "1.0"
cdef str _GET = "GET"
cdef str _POST = "POST"
cdef str _HEAD = "HEAD"


cdef class Section:
    """The header section of a connection's last request.

    The next one's is the same more often than not: browsers, proxies and tools repeat themselves.
    Octets that are equal mean the same, so they are read once.
    """


cdef RequestHead read_head(
    const char* data,
    Py_ssize_t size,
    Py_ssize_t most_fields,
    Facts* facts,
    Section section,
):
    """The head at the beginning of `data`; None when there is not a whole one to be sure of.

    `section` is the last one of the connection, or an empty one; it becomes this one's.
    """
    cdef const char* end = data + size
    cdef const char* at = data
    cdef const char* path
    cdef const char* behind_path
    cdef const char* query
    cdef const char* query_end
    cdef const char* method_end
    cdef bint old
    cdef Framing* framing = &section.framing

    # RFC 9112 3: method SP request-target SP HTTP-version
    while at < end and TOKEN[<unsigned char>at[0]]:
        at += 1
    if at == end or at[0] != b" " or at == data or at - data > LONGEST_METHOD:
        return None
    method_end = at
    at += 1
    path = at
    behind_path = at = path_end(at, end)
    if at == NULL:
        return None
    query = query_end = at
    if at < end and at[0] == b"?":
        at += 1
        query = at
        while at < end and CLASS[<unsigned char>at[0]] & IN_QUERY:
            at += 1
        query_end = at
    if end - at < 11 or memcmp(at, b" HTTP/1.", 8) != 0 or at[9] != b"\r" or at[10] != b"\n":
        return None
    if at[8] == b"1":
        old = False
    elif at[8] == b"0":
        old = True
    else:
        return None
    at += 11

    at = _read_section(at, end, most_fields, section)
    if at == NULL or not _agree(section, old):
        return None
    name = method_name(data, method_end - data)
    if name is None:
        return None
    facts.size = at - data
    facts.length = -1 if framing.chunked else framing.length if framing.length > 0 else 0
    facts.upgrade = framing.upgrade
    facts.persists = not framing.close and (framing.keep_alive or not old)
    cdef RequestHead head = RequestHead.__new__(RequestHead)
    head.method = name
    head.raw_path = PyBytes_FromStringAndSize(path, behind_path - path)
    head.query = PyBytes_FromStringAndSize(query, query_end - query)
    head.authority = b"" if section.host is None else section.host
    head.version = _HTTP_1_0 if old else _HTTP_1_1
    head.fields = section.fields
    head.content_length = None if framing.chunked else facts.length
    head.expects_continue = False
    head.protocol = ""
    return head


cdef str method_name(const char* data, Py_ssize_t size):
    """The method's name; None for the one whose target is not a path (RFC 9112 3.2.3)."""
    if size == 3 and memcmp(data, b"GET", 3) == 0:
        return _GET
    if size == 4 and memcmp(data, b"POST", 4) == 0:
        return _POST
    if size == 4 and memcmp(data, b"HEAD", 4) == 0:
        return _HEAD
    if size == 7 and memcmp(data, b"CONNECT", 7) == 0:
        return None
    return PyUnicode_DecodeASCII(data, size, NULL)


cdef const char* path_end(const char* at, const char* end) noexcept nogil:
    """The end of an origin-form's path (RFC 9112 3.2.1), NULL when it is no such path."""
    if at == end or at[0] != b"/":
        return NULL
    while at < end:
        if CLASS[<unsigned char>at[0]] & IN_PATH:
            at += 1
        elif at[0] == b"%":
            # RFC 3986 2.1
            if end - at < 3 or not (
                CLASS[<unsigned char>at[1]] & IS_HEX and CLASS[<unsigned char>at[2]] & IS_HEX
            ):
                return NULL
            at += 3
        else:
            break
    return at


cdef const char* _read_section(
    const char* at, const char* end, Py_ssize_t most, Section section
) except? NULL:
    """Read the header section; where it ends, behind the empty line. NULL when unsure."""
    cdef const char* start = at
    cdef bytes known = section.octets
    if known is not None:
        if end - at >= PyBytes_GET_SIZE(known) and (
            memcmp(at, PyBytes_AS_STRING(known), PyBytes_GET_SIZE(known)) == 0
        ):
            return at + PyBytes_GET_SIZE(known)
        section.octets = None
    section.fields = []
    section.host = None
    at = _read_fields(at, end, most, section)
    if at != NULL and at - start <= REMEMBERED_BYTES and not section.framing.close:
        section.octets = PyBytes_FromStringAndSize(start, at - start)
    return at


cdef const char* _read_fields(
    const char* at, const char* end, Py_ssize_t most, Section section
) except? NULL:
    cdef Framing* framing = &section.framing
    cdef bytes held
    cdef unsigned char[LONGEST_NAME] name
    cdef Py_ssize_t name_size
    cdef unsigned char low
    cdef const char* value
    cdef const char* value_end
    cdef const char* line_end
    cdef Py_ssize_t count = 0
    framing.length = -1
    framing.chunked = framing.close = framing.keep_alive = framing.upgrade = False
    while True:
        # RFC 9112 5: field-name ":" OWS field-value OWS CRLF
        if end - at < 2:
            return NULL
        if at[0] == b"\r":
            return at + 2 if at[1] == b"\n" else NULL
        name_size = 0
        while at < end:
            low = TOKEN[<unsigned char>at[0]]
            if low == 0 or name_size == LONGEST_NAME:
                break
            name[name_size] = low
            name_size += 1
            at += 1
        if at == end or at[0] != b":" or name_size == 0:
            return NULL
        value = at + 1
        line_end = <const char*>memchr(value, b"\r", end - value)
        if line_end == NULL or line_end + 1 >= end or line_end[1] != b"\n":
            return NULL
        at = line_end + 2
        value_end = line_end
        while value < value_end and (value[0] == b" " or value[0] == b"\t"):
            value += 1
        while value < value_end and ((value_end - 1)[0] == b" " or (value_end - 1)[0] == b"\t"):
            value_end -= 1
        count += 1
        if count > most or not is_value(value, value_end - value):
            return NULL
        if not _heed(<const char*>name, name_size, value, value_end - value, framing):
            return NULL
        held = PyBytes_FromStringAndSize(value, value_end - value)
        if name_size == 4 and memcmp(name, b"host", 4) == 0:
            # RFC 9112 3.2: one, and not more
            if section.host is not None or not is_host(value, value_end - value):
                return NULL
            section.host = held
        PyList_Append(section.fields, (lower_name(<const char*>name, name_size), held))


cdef bint _heed(
    const char* name, Py_ssize_t size, const char* value, Py_ssize_t value_size, Framing* framing
) noexcept nogil:
    """Note what a field says of framing and connection; False when the reference must judge it."""
    cdef Py_ssize_t index
    if size == 6:
        return memcmp(name, b"expect", 6) != 0
    elif size == 7:
        if memcmp(name, b"upgrade", 7) == 0:
            framing.upgrade = True
    elif size == 10:
        if memcmp(name, b"connection", 10) == 0:
            _heed_connection(value, value_size, framing)
    elif size == 14:
        if memcmp(name, b"content-length", 14) == 0:
            # RFC 9112 6.3: one number
            if framing.length >= 0 or not 0 < value_size <= MOST_DIGITS:
                return False
            framing.length = 0
            for index in range(value_size):
                if not CLASS[<unsigned char>value[index]] & IS_DIGIT:
                    return False
                framing.length = framing.length * 10 + (value[index] - 48)
    elif size == 17:
        if memcmp(name, b"transfer-encoding", 17) == 0:
            if framing.chunked or not _is_word(value, value_size, b"chunked", 7):
                return False
            framing.chunked = True
    return True


cdef bint _agree(Section section, bint old) noexcept:
    """Whether the fields go together (RFC 9112 3.2, 6.1, 6.3)."""
    if section.framing.chunked and (old or section.framing.length >= 0):
        return False
    return old or section.host is not None


cdef bint is_host(const char* value, Py_ssize_t size) noexcept nogil:
    """uri-host [ ":" port ] (RFC 3986 3.2.2), where it is a plain name or an IPv4 address."""
    cdef Py_ssize_t at = 0
    cdef int port = 0
    while at < size and CLASS[<unsigned char>value[at]] & IN_HOST:
        at += 1
    if at == 0:
        return False
    if at == size:
        return True
    if value[at] != b":" or size - at > 6:
        return False
    at += 1
    while at < size:
        if not CLASS[<unsigned char>value[at]] & IS_DIGIT:
            return False
        port = port * 10 + (value[at] - 48)
        at += 1
    return port <= 65535


cdef void _heed_connection(const char* value, Py_ssize_t size, Framing* framing) noexcept nogil:
    """Connection = #connection-option, in any case (RFC 9110 7.6.1)."""
    cdef const char* end = value + size
    cdef const char* start
    cdef const char* stop
    while value < end:
        start = value
        while value < end and value[0] != b",":
            value += 1
        stop = value
        while start < stop and (start[0] == b" " or start[0] == b"\t"):
            start += 1
        while start < stop and ((stop - 1)[0] == b" " or (stop - 1)[0] == b"\t"):
            stop -= 1
        if _is_word(start, stop - start, b"close", 5):
            framing.close = True
        elif _is_word(start, stop - start, b"keep-alive", 10):
            framing.keep_alive = True
        value += 1


cdef bint _is_word(
    const char* value, Py_ssize_t size, const char* word, Py_ssize_t word_size
) noexcept nogil:
    """Whether a value is that word, in any case."""
    cdef Py_ssize_t at
    if size != word_size:
        return False
    for at in range(size):
        if TOKEN[<unsigned char>value[at]] != <unsigned char>word[at]:
            return False
    return True
