"""Heads of HTTP/2 requests, made of decoded fields (RFC 9113 8.3).

`make_head` passes a request all of whose fields are sure (h2_field), and says nothing about the
others: the reference judges them (http.pseudo), so a rule that refuses stands once, in its words.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from granian_d.engine.native.h2_field cimport (
    AUTHORITY, COOKIE, HOST, LENGTH, METHOD, PATH, PLAIN, PRIORITY, SCHEME,
)
from granian_d.engine.native.head cimport method_name
from granian_d.engine.native.hpack cimport MOST_KINDS

cdef str _VERSION = "2"


cdef RequestHead make_head(
    Decoder block, bint ended, Py_ssize_t most_fields, long long most_body, Wishes* wishes
):
    """The head of a request; None when it is not plainly good.

    Args:
        block: as it was decoded.
        ended: no body follows.
        most_fields: limits.head_fields.
        most_body: limits.body_bytes.
        wishes: gets the priority that the request asks for.
    """
    cdef list fields = block.fields
    cdef list kept
    cdef Py_ssize_t count = len(fields), index, behind = 0
    cdef bytes method = None, path = None, authority = None, scheme = None
    cdef long long length = -1
    cdef Py_ssize_t cookie = -1, host = -1
    cdef list crumbs = None
    cdef unsigned char kind
    cdef bytes value
    if count > MOST_KINDS:
        return None
    for index in range(count):
        kind = block.kinds[index]
        if kind == PLAIN:
            continue
        value = <bytes>(<tuple>fields[index])[1]
        if kind <= AUTHORITY:
            if behind != index:
                return None  # RFC 9113 8.3: in front of all others
            behind += 1
            if kind == METHOD and method is None:
                method = value
            elif kind == PATH and path is None:
                path = value
            elif kind == AUTHORITY and authority is None:
                authority = value
            elif kind == SCHEME and scheme is None:
                scheme = value
            else:
                return None
        elif kind == COOKIE:
            if cookie < 0:
                cookie = index
            else:
                crumbs = [] if crumbs is None else crumbs
                crumbs.append(index)
        elif kind == LENGTH and length < 0:
            length = int(value)
        elif kind == HOST and host < 0:
            host = index
        elif kind == PRIORITY:
            read_wishes(value, wishes)
        else:
            return None
    if method is None or path is None or scheme is None or authority is None:
        return None
    if host >= 0 and <bytes>(<tuple>fields[host])[1] != authority:
        return None
    if length > 0 and (ended or 0 < most_body < length):
        return None
    kept = fields[behind:]
    if crumbs is not None:
        _join(kept, fields, cookie, crumbs, -behind)
    if host >= 0:
        del kept[host - behind - (0 if crumbs is None else _before(crumbs, host))]
    if len(kept) > most_fields:
        return None
    return _head(method, path, authority, kept, length if length >= 0 else 0 if ended else None)


cdef int _join(list kept, list fields, Py_ssize_t cookie, list crumbs, Py_ssize_t shift) except -1:
    """One Cookie in the place of the first crumb (RFC 9113 8.2.3)."""
    cdef tuple pair = <tuple>fields[cookie]
    values = [pair[1]]
    for index in crumbs:
        values.append((<tuple>fields[index])[1])
    kept[cookie + shift] = (pair[0], b"; ".join(values))
    for index in reversed(crumbs):
        del kept[index + shift]
    return 0


cdef Py_ssize_t _before(list crumbs, Py_ssize_t place) except -1:
    """How many crumbs stood in front of a place, and are gone."""
    cdef Py_ssize_t count = 0
    for index in crumbs:
        count += index < place
    return count


cdef RequestHead _head(bytes method, bytes path, bytes authority, list fields, length):
    cdef RequestHead head = RequestHead.__new__(RequestHead)
    cdef const char* at = PyBytes_AS_STRING(path)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(path)
    cdef const char* mark = <const char*>memchr(at, b"?", size)
    head.method = method_name(PyBytes_AS_STRING(method), PyBytes_GET_SIZE(method))
    if mark == NULL:
        head.raw_path = path
        head.query = b""
    else:
        head.raw_path = PyBytes_FromStringAndSize(at, mark - at)
        head.query = PyBytes_FromStringAndSize(mark + 1, at + size - mark - 1)
    head.authority = authority
    head.version = _VERSION
    head.fields = fields
    head.content_length = length
    head.expects_continue = False
    head.protocol = ""
    return head


cdef RequestHead same_head(RequestHead known):
    """Another head that says the same. Its fields are the same list: nobody changes it."""
    cdef RequestHead head = RequestHead.__new__(RequestHead)
    head.method = known.method
    head.raw_path = known.raw_path
    head.query = known.query
    head.authority = known.authority
    head.version = _VERSION
    head.fields = known.fields
    head.content_length = known.content_length
    head.expects_continue = known.expects_continue
    head.protocol = known.protocol
    return head


cdef int read_wishes(bytes value, Wishes* wishes) noexcept:
    """A priority (RFC 9218 4): `u` and `i` of a dictionary; what has another form says nothing."""
    cdef const char* at = PyBytes_AS_STRING(value)
    cdef const char* end = at + PyBytes_GET_SIZE(value)
    cdef const char* start
    wishes.urgency = 3
    wishes.incremental = False
    while at < end:
        while at < end and (at[0] == b" " or at[0] == b"\t"):
            at += 1
        start = at
        while at < end and at[0] != b",":
            at += 1
        if at - start >= 3 and start[0] == b"u" and start[1] == b"=":
            if 48 <= start[2] <= 55 and (at - start == 3 or not 48 <= start[3] <= 57):
                wishes.urgency = start[2] - 48
        elif at > start and start[0] == b"i":
            if at - start == 1 or start[1] == b" " or start[1] == b";" or start[1] == b"\t":
                wishes.incremental = True
            elif at - start >= 4 and start[1] == b"=" and start[2] == b"?":
                wishes.incremental = start[3] == b"1"
        at += 1
    return 0
