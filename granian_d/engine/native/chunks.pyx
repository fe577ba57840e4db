"""A body in chunks (RFC 9112 7.1), read as strictly as `engine.pure.h1_chunks` reads it."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memchr

from granian_d.engine.native.octets cimport CLASS, IS_DIGIT, IS_HEX, TOKEN

from granian_d.engine.pure.h1_chunks import EXTENSIONS_BYTES, SIZE_LINE, SIZE_LINE_BYTES
from granian_d.errors import BodyTooLarge, HeadTooLarge, ProtocolViolation
from granian_d.http.fields import parse_section

cdef enum:
    SIZE_STEP = 0
    CONTENT_STEP = 1
    CONTENT_END_STEP = 2
    TRAILER_STEP = 3
    CR = 13
    LF = 10
    PLAIN_DIGITS = 7  # of a size that is read here; longer ones are for the grammar's own pattern


cdef class Chunks:
    """Where the reader of one chunked body stands.

    Attributes:
        ended: the empty line at the end of the trailer section has been read.
    """

    def __init__(self, limits):
        self._limits = limits
        self._room = limits.body_bytes or None
        self._extensions_room = EXTENSIONS_BYTES
        self._held = bytearray()

    cdef Py_ssize_t read(self, const char* data, Py_ssize_t size, list parts) except -1:
        """Read on; how many octets were of this body.

        Args:
            parts: takes the parts of the content.

        Raises:
            ProtocolViolation: the rest will never pass; `parts` has what came before it.
        """
        cdef Py_ssize_t at = 0, count
        while at < size and not self.ended:
            if self._step == CONTENT_STEP:
                count = min(<unsigned long long>(size - at), self._left)
                parts.append(PyBytes_FromStringAndSize(data + at, count))
                self._left -= count
                at += count
                if self._left == 0:
                    self._step = CONTENT_END_STEP
            elif self._step == SIZE_STEP:
                at += self._read_size(data + at, size - at)
            elif self._step == CONTENT_END_STEP:
                at += self._read_content_end(data + at, size - at)
            else:
                at += self._read_trailer(data + at, size - at)
        return at

    cdef Py_ssize_t _read_size(self, const char* data, Py_ssize_t size) except -1:
        """chunk-size [ chunk-ext ] CRLF"""
        cdef Py_ssize_t at = 0
        cdef long long chunk = 0
        cdef int octet
        if not PyByteArray_GET_SIZE(self._held):
            while at < size and at < PLAIN_DIGITS and CLASS[<unsigned char>data[at]] & IS_HEX:
                octet = TOKEN[<unsigned char>data[at]]
                chunk = chunk * 16 + (octet - 48 if octet <= 57 else octet - 87)
                at += 1
            if 0 < at <= size - 2 and data[at] == b"\r" and data[at + 1] == b"\n":
                self._begin_chunk(chunk)
                return at + 2
        at = self._hold_line(data, size, SIZE_LINE_BYTES + self._extensions_room, ProtocolViolation)
        line = self._whole_line()
        if line is None:
            return at
        match = SIZE_LINE.fullmatch(line)
        if match is None:
            raise ProtocolViolation("a malformed chunk size", "RFC 9112 7.1")
        self._extensions_room -= len(match[2])
        if self._extensions_room < 0:
            raise ProtocolViolation("too many chunk extensions", "RFC 9112 7.1.1")
        self._begin_chunk(int(match[1], 16))
        return at

    cdef int _begin_chunk(self, chunk) except -1:
        if chunk == 0:
            self._step = TRAILER_STEP
            return 0
        if self._room is not None:
            self._room -= chunk
            if self._room < 0:
                raise BodyTooLarge("a body too large", "RFC 9110 15.5.14")
        self._left = chunk
        self._step = CONTENT_STEP
        return 0

    cdef Py_ssize_t _read_content_end(self, const char* data, Py_ssize_t size) except -1:
        """CRLF and nothing else, so that a wrong size is found out at once."""
        cdef Py_ssize_t held = PyByteArray_GET_SIZE(self._held)
        cdef Py_ssize_t at = 0
        while at < size and held + at < 2:
            if data[at] != (CR if held + at == 0 else LF):
                raise ProtocolViolation("a chunk that is longer than its size", "RFC 9112 7.1")
            at += 1
        if held + at < 2:
            self._held += b"\r"
        else:
            self._held.clear()
            self._step = SIZE_STEP
        return at

    cdef Py_ssize_t _read_trailer(self, const char* data, Py_ssize_t size) except -1:
        """Judge and drop; trailers are never merged (RFC 9110 6.5.1, RFC 9112 7.1.2)."""
        cdef Py_ssize_t at
        limits = self._limits
        at = self._hold_line(data, size, limits.head_bytes - self._trailer_bytes, HeadTooLarge)
        line = self._whole_line()
        if line is None:
            return at
        if line == b"\r\n":
            self.ended = True
            return at
        self._trailer_bytes += len(line)
        self._trailer_lines += 1
        if self._trailer_lines > limits.head_fields:
            raise HeadTooLarge("too many trailers", "RFC 6585 5")
        parse_section(line, 1)
        return at

    cdef Py_ssize_t _hold_line(
        self, const char* data, Py_ssize_t size, Py_ssize_t most, too_long
    ) except -1:
        """Add to the line that is held, up to its end; how many octets were added."""
        cdef const char* end = <const char*>memchr(data, b"\n", size)
        cdef Py_ssize_t count = size if end == NULL else end + 1 - data
        self._held += PyBytes_FromStringAndSize(data, count)
        if PyByteArray_GET_SIZE(self._held) > most:
            raise too_long("a line too long", "RFC 9110 5.4, RFC 9112 7.1.1")
        return count

    cdef bytes _whole_line(self):
        """Take the line that is held; None when its end has not arrived."""
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(self._held)
        if PyByteArray_AS_STRING(self._held)[size - 1] != b"\n":
            return None
        line = bytes(self._held)
        self._held.clear()
        return line
