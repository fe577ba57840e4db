"""Heads of HTTP/1.1 responses as octets.

`judge` passes what applications usually say at once; whatever else they say goes to
`http.semantics.judge_response`, which says no in its own words, or yes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy
from posix.time cimport clock_gettime, timespec

from granian_d.engine.native.octets cimport CLASS, IS_DIGIT, TOKEN, is_value

from granian_d.http import framing as reference_framing
from granian_d.http.semantics import LENGTH_DIGITS, REASONS, imf_fixdate, judge_response


cdef extern from "time.h" nogil:
    int CLOCK_REALTIME_COARSE


cdef enum:
    NO_BODY = 0  # the constants of http.framing; checked below
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3
    MOST_DIGITS = 18  # http.semantics.LENGTH_DIGITS
    OTHER_BOUND = 512  # status line, framing, date and server lines together

assert (
    reference_framing.NO_BODY, reference_framing.LENGTH,
    reference_framing.CHUNKED, reference_framing.UNTIL_CLOSE,
) == (NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE)
assert LENGTH_DIGITS == MOST_DIGITS

cdef bytes SERVER = b"server: granian-d\r\n"
cdef bytes CLOSE = b"connection: close\r\n"
cdef bytes KEEP_ALIVE = b"connection: keep-alive\r\n"

cdef list _status_lines = [
    b"HTTP/1.1 %d %b\r\n" % (status, REASONS.get(status, b"")) for status in range(1000)
]
cdef long _date_s = 0
cdef bytes _date_line = b""


cdef Answer judge(status, fields):
    """What an application says of its response, judged.

    Raises:
        InvalidResponse: it must not go out.
    """
    cdef Answer answer = Answer.__new__(Answer)
    if type(status) is int and 200 <= status <= 999:
        if type(fields) is not list and type(fields) is not tuple:
            fields = list(fields)  # read twice, perhaps
        answer.status = status
        if _write_block(answer, fields):
            return answer
    judged = judge_response(status, fields)
    answer.status = judged.status
    answer.block = b"".join([b"%b: %b\r\n" % field for field in judged.fields])
    answer.length = -1 if judged.content_length is None else judged.content_length
    answer.dated = b"date" in judged.names
    answer.signed = b"server" in judged.names
    answer.advertised = b"alt-svc" in judged.names
    answer.options = judged.options or None
    return answer


cdef int advertise(Answer answer, bytes line) except -1:
    """Add an Alt-Svc line, unless the application has given one (RFC 7838 3)."""
    if not answer.advertised:
        answer.block += line
    return 0


cdef bytes alt_svc_line(str value):
    """The line; None for an empty value."""
    return b"alt-svc: %b\r\n" % value.encode() if value else None


cdef bint _write_block(Answer answer, fields) except -1:
    """Write the field lines; False when one is not plainly good, or is about the connection."""
    cdef char[1024] to
    cdef Py_ssize_t size = 0, name_size, value_size, index
    cdef const char* name
    cdef const char* value
    answer.length = -1
    answer.dated = answer.signed = answer.advertised = False
    answer.options = None
    for pair in fields:
        if type(pair) is not tuple or len(<tuple>pair) != 2:
            return False
        name_object = (<tuple>pair)[0]
        value_object = (<tuple>pair)[1]
        if type(name_object) is not bytes or type(value_object) is not bytes:
            return False
        name = PyBytes_AS_STRING(name_object)
        name_size = PyBytes_GET_SIZE(name_object)
        value = PyBytes_AS_STRING(value_object)
        value_size = PyBytes_GET_SIZE(value_object)
        if name_size == 0 or size + name_size + value_size + 4 > 1024:
            return False  # what is longer is rare
        for index in range(name_size):
            if not TOKEN[<unsigned char>name[index]]:
                return False
        while value_size and (value[0] == b" " or value[0] == b"\t"):
            value += 1
            value_size -= 1
        while value_size and (value[value_size - 1] == b" " or value[value_size - 1] == b"\t"):
            value_size -= 1
        if not is_value(value, value_size):
            return False
        if name_size == 14 and _is_name(name, b"content-length", 14):
            if answer.length >= 0 or not _read_length(answer, value, value_size):
                return False
            continue
        if not _heed(answer, name, name_size) or (answer.signed and value_size == 0):
            return False
        memcpy(to + size, name, name_size)
        size += name_size
        to[size] = b":"
        to[size + 1] = b" "
        size += 2
        memcpy(to + size, value, value_size)
        size += value_size
        to[size] = b"\r"
        to[size + 1] = b"\n"
        size += 2
    if answer.status == 204 or answer.status == 205:
        answer.length = -1  # http.semantics: what is said of the length of these is not sent
    answer.block = PyBytes_FromStringAndSize(to, size)
    return True


cdef inline bint _is_name(const char* name, const char* low, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(size):
        if TOKEN[<unsigned char>name[index]] != <unsigned char>low[index]:
            return False
    return True


cdef bint _heed(Answer answer, const char* name, Py_ssize_t size) noexcept nogil:
    """Note which fields there are; False for one that is about the connection."""
    if size == 4:
        if _is_name(name, b"date", 4):
            answer.dated = True
    elif size == 6:
        if _is_name(name, b"server", 6):
            answer.signed = True
    elif size == 7:
        if _is_name(name, b"upgrade", 7):
            return False
        if _is_name(name, b"alt-svc", 7):
            answer.advertised = True
    elif size == 10:
        return not (_is_name(name, b"connection", 10) or _is_name(name, b"keep-alive", 10))
    elif size == 16:
        return not _is_name(name, b"proxy-connection", 16)
    elif size == 17:
        return not _is_name(name, b"transfer-encoding", 17)
    return True


cdef bint _read_length(Answer answer, const char* value, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t index
    if not 0 < size <= MOST_DIGITS:
        return False
    answer.length = 0
    for index in range(size):
        if not CLASS[<unsigned char>value[index]] & IS_DIGIT:
            return False
        answer.length = answer.length * 10 + (value[index] - 48)
    return True


cdef Framing frame(bint head_request, bint old, Answer answer, long long whole, bint trailers):
    """How a response is delimited: `http.framing.frame_response` in C (-1 is its None)."""
    cdef Framing framing
    cdef int status = answer.status
    framing.length = -1
    if head_request or status == 204 or status == 205 or status == 304:
        framing.kind = NO_BODY
        if status == 205:
            framing.length = 0
        elif status == 204:
            framing.length = -1
        elif answer.length < 0 and status != 304:
            framing.length = whole if whole > 0 else -1
        else:
            framing.length = answer.length
    elif answer.length >= 0:
        framing.kind = LENGTH
        framing.length = answer.length
    elif whole >= 0 and not trailers:
        framing.kind = LENGTH
        framing.length = whole
    else:
        framing.kind = UNTIL_CLOSE if old else CHUNKED
    return framing


cdef bytes connection_line(Answer answer, bint persistent, bint old):
    """The line of the Connection field; empty when there is nothing to say."""
    if answer.options is None:
        if not persistent:
            return CLOSE  # RFC 9112 9.6
        return KEEP_ALIVE if old else b""  # RFC 9112 C.2.2
    options = set(answer.options)
    if not persistent:
        options.add(b"close")
    elif old:
        options.add(b"keep-alive")
    return b"connection: %b\r\n" % b", ".join(sorted(options))


cdef bytes date_line():
    """The Date line, made once a second."""
    global _date_s, _date_line
    cdef timespec now
    clock_gettime(CLOCK_REALTIME_COARSE, &now)
    if now.tv_sec != _date_s:
        _date_s = now.tv_sec
        _date_line = b"date: %b\r\n" % imf_fixdate(_date_s)
    return _date_line


cdef Py_ssize_t head_bound(Answer answer, bytes connection):
    """So many octets `write_head` may write."""
    return PyBytes_GET_SIZE(answer.block) + PyBytes_GET_SIZE(connection) + OTHER_BOUND


cdef Py_ssize_t write_head(
    char* to, Answer answer, Framing framing, bytes date, bytes connection
) except -1:
    """Write the head of a final response; how many octets it has. No object is made."""
    cdef char* at = to
    at = _copy(at, <bytes>_status_lines[answer.status])
    at = _copy(at, answer.block)
    if framing.length >= 0:
        at = _copy_raw(at, b"content-length: ", 16)
        at = _number(at, framing.length)
    elif framing.kind == CHUNKED:
        at = _copy_raw(at, b"transfer-encoding: chunked\r\n", 28)
    if not answer.dated:
        at = _copy(at, date)  # RFC 9110 6.6.1
    if not answer.signed:
        at = _copy(at, SERVER)
    at = _copy(at, connection)
    at = _copy_raw(at, b"\r\n", 2)
    return at - to


cdef inline char* _copy(char* to, bytes octets):
    memcpy(to, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))
    return to + PyBytes_GET_SIZE(octets)


cdef inline char* _copy_raw(char* to, const char* octets, Py_ssize_t size) noexcept nogil:
    memcpy(to, octets, size)
    return to + size


cdef char* _number(char* to, long long number) noexcept nogil:
    """A number with CRLF; snprintf would cost more than all the other lines."""
    cdef char[20] digits
    cdef int count = 0
    while True:
        digits[count] = <char>(48 + number % 10)
        count += 1
        number //= 10
        if number == 0:
            break
    while count:
        count -= 1
        to[0] = digits[count]
        to += 1
    to[0] = b"\r"
    to[1] = b"\n"
    return to + 2
