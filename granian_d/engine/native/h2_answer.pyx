"""Heads of HTTP/2 responses, as field blocks (RFC 9113 8.3.2).

What an application says was judged by `answer.judge`, in the same words as on HTTP/1; here its
lines become fields, and what the daemon adds stands behind them.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp, memcpy

from granian_d.engine.native.answer cimport Answer, date_line
from granian_d.engine.native.hpack cimport Encoder, field_bound
from granian_d.engine.native.octets cimport TOKEN

cdef enum:
    OTHER_BOUND = 512  # status, length, date and server together
    LONGEST_NAME = 256  # in lower case without an object
    REMEMBERED_BYTES = 512  # of a block: longer ones are rarely the same

cdef bytes _DATE = b"date"
cdef bytes _SERVER = b"server"
cdef bytes _GRANIAN_D = b"granian-d"
cdef bytes _LENGTH = b"content-length"


cdef inline const unsigned char* _octets(bytes data) noexcept:
    return <const unsigned char*>PyBytes_AS_STRING(data)


cdef class HeadWriter:
    """Writes the heads of a connection's responses."""

    def __init__(self):
        self.encoder = Encoder()

    cdef Py_ssize_t bound(self, Answer answer) noexcept:
        """So many octets `write` may write: a number in front of a string costs at most as much as
        the string, and the signs between name and value fall away."""
        return 2 * PyBytes_GET_SIZE(answer.block) + OTHER_BOUND

    cdef Py_ssize_t write(self, char* to, Answer answer, long long length) except -1:
        """Write a final head; how many octets it has.

        Args:
            length: for Content-Length, -1 for none.
        """
        cdef bytes date = None if answer.dated else date_line()
        cdef unsigned long long changes
        cdef Py_ssize_t size
        if (
            self._known_octets is not None
            and self._known_changes == self.encoder.changes
            and self._known_date is date
            and self._known_status == answer.status
            and self._known_length == length
            and self._known_signed == answer.signed
            and PyBytes_GET_SIZE(self._known_block) == PyBytes_GET_SIZE(answer.block)
            and memcmp(
                _octets(self._known_block), _octets(answer.block), PyBytes_GET_SIZE(answer.block)
            ) == 0
        ):
            size = PyBytes_GET_SIZE(self._known_octets)
            memcpy(to, _octets(self._known_octets), size)
            return size
        changes = self.encoder.changes
        size = self._write(to, answer, length, date)
        if changes == self.encoder.changes and size <= REMEMBERED_BYTES:
            self._known_octets = PyBytes_FromStringAndSize(to, size)
            self._known_changes = changes
            self._known_date = date
            self._known_status = answer.status
            self._known_length = length
            self._known_signed = answer.signed
            self._known_block = answer.block
        return size

    cdef Py_ssize_t _write(self, char* to, Answer answer, long long length, bytes date) except -1:
        cdef Encoder encoder = self.encoder
        cdef unsigned char* at = encoder.begin(<unsigned char*>to)
        cdef const unsigned char* line = _octets(answer.block)
        cdef const unsigned char* end = line + PyBytes_GET_SIZE(answer.block)
        cdef const unsigned char* colon
        cdef const unsigned char* line_end
        cdef unsigned char[LONGEST_NAME] name
        cdef char[24] digits
        cdef Py_ssize_t size, index
        at = encoder.status(at, answer.status)
        while line < end:
            colon = <const unsigned char*>memchr(line, b":", end - line)
            line_end = <const unsigned char*>memchr(colon, b"\r", end - colon)
            size = colon - line
            if size > LONGEST_NAME:
                low = PyBytes_FromStringAndSize(<const char*>line, size).lower()
                at = encoder.field(at, _octets(low), size, colon + 2, line_end - colon - 2)
            else:
                for index in range(size):
                    name[index] = TOKEN[line[index]]
                if not (size == 7 and memcmp(name, b"upgrade", 7) == 0):  # RFC 9113 8.2.2
                    at = encoder.field(at, name, size, colon + 2, line_end - colon - 2)
            line = line_end + 2
        if length >= 0:
            size = snprintf(digits, 24, "%lld", length)
            at = encoder.field(
                at, _octets(_LENGTH), PyBytes_GET_SIZE(_LENGTH), <unsigned char*>digits, size
            )
        if date is not None:  # RFC 9110 6.6.1
            at = encoder.field(
                at, _octets(_DATE), PyBytes_GET_SIZE(_DATE),
                _octets(date) + 6, PyBytes_GET_SIZE(date) - 8,
            )
        if not answer.signed:
            at = encoder.field(
                at, _octets(_SERVER), PyBytes_GET_SIZE(_SERVER),
                _octets(_GRANIAN_D), PyBytes_GET_SIZE(_GRANIAN_D),
            )
        return <char*>at - to

    cdef Py_ssize_t write_fields(self, char* to, int status, list fields) except -1:
        """Write an interim head, or trailers (`status` 0), of judged fields."""
        cdef unsigned char* at = self.encoder.begin(<unsigned char*>to)
        cdef bytes name, value
        if status:
            at = self.encoder.status(at, status)
        for name, value in fields:
            name = name.lower()
            if name != b"upgrade":
                at = self.encoder.field(
                    at, _octets(name), PyBytes_GET_SIZE(name), _octets(value), PyBytes_GET_SIZE(value)
                )
        return <char*>at - to


cdef Py_ssize_t fields_bound(list fields) except -1:
    """So many octets `write_fields` may write."""
    cdef Py_ssize_t bound = OTHER_BOUND
    cdef bytes name, value
    for name, value in fields:
        bound += field_bound(PyBytes_GET_SIZE(name), PyBytes_GET_SIZE(value))
    return bound
