"""Octets by what they may be, and the names of fields as objects that exist once.

The tables are made from the grammar of `http.fields` and `http.semantics`: an octet is what the
reference says it is.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memset

from granian_d.http.fields import TOKEN as TOKEN_PATTERN
from granian_d.http.semantics import PATH_PATTERN, QUERY_PATTERN

cdef enum:
    SEATS = 512  # of the table of names: a power of two, several times as many as there are names

# Registered field names that requests of browsers, proxies and tools really carry.
NAMES = b"""
accept accept-charset accept-encoding accept-language access-control-request-headers
access-control-request-method authorization cache-control cdn-loop cf-connecting-ip cf-ray
connection content-disposition content-encoding content-language content-length content-location
content-type cookie date dnt expect forwarded from host if-match if-modified-since if-none-match
if-range if-unmodified-since keep-alive last-event-id max-forwards origin pragma priority
proxy-authorization proxy-connection range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform
sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions
sec-websocket-key sec-websocket-protocol sec-websocket-version te traceparent tracestate trailer
transfer-encoding upgrade upgrade-insecure-requests user-agent via x-api-key x-correlation-id
x-csrf-token x-csrftoken x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto
x-real-ip x-request-id x-requested-with
""".split()

cdef list _names = [None] * SEATS


cdef inline unsigned int _seat(const char* name, Py_ssize_t size) noexcept nogil:
    cdef unsigned int mix = <unsigned int>size * 31
    mix += <unsigned char>name[0] * 7 + <unsigned char>name[size - 1] * 113
    mix += <unsigned char>name[size >> 1] * 17
    return mix & (SEATS - 1)


cdef bytes lower_name(const char* name, Py_ssize_t size):
    """The bytes object of a field name in lower case; of a usual one always the same object."""
    cdef unsigned int seat = _seat(name, size)
    cdef object known
    while True:
        known = _names[seat]
        if known is None:
            return PyBytes_FromStringAndSize(name, size)
        if PyBytes_GET_SIZE(known) == size and memcmp(PyBytes_AS_STRING(known), name, size) == 0:
            return known
        seat = (seat + 1) & (SEATS - 1)


cdef _fill():
    cdef int octet
    cdef unsigned int seat
    memset(CLASS, 0, 256)
    for octet in range(256):
        one = bytes((octet,))
        TOKEN[octet] = one.lower()[0] if TOKEN_PATTERN.fullmatch(one) else 0
        if PATH_PATTERN.fullmatch(b"/" + one):
            CLASS[octet] |= IN_PATH
        if QUERY_PATTERN.fullmatch(one):
            CLASS[octet] |= IN_QUERY
        if one.isalnum() or one in b"-._~!$&'()*+,;=":
            CLASS[octet] |= IN_HOST
        if one in b"0123456789abcdefABCDEF":
            CLASS[octet] |= IS_HEX
        if one.isdigit():
            CLASS[octet] |= IS_DIGIT
    for name in NAMES:
        seat = _seat(name, len(name))
        while _names[seat] is not None:
            seat = (seat + 1) & (SEATS - 1)
        _names[seat] = name


_fill()
