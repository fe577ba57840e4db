"""What a client sends, as whole messages (RFC 6455 5, 6.2).

The rules and their order are those of `engine.pure.ws_intake` and of wsproto behind it. What differs
is how octets are held: a message that arrives whole in one frame is unmasked from the transport's
buffer into the object that the application gets. Any other is put together in a buffer that grows
with what has really arrived, and is freed when the message is whole.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from granian_d.engine.native.ws_frames cimport (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL_BYTES,
    HEAD_BYTES,
    NOTHING,
    PONG,
    TEXT,
    is_utf8,
    unmask,
)

from granian_d.engine.pure.ws_deflate import Inflater
from granian_d.errors import BodyTooLarge, InvalidText, ProtocolViolation


cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void* PyUnicode_DATA(object text)
    object PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)


cdef enum:
    FIN = 0x80
    BITS = 0x70
    COMPRESSED = 0x40  # RSV1 (RFC 7692 6)
    MASKED = 0x80


cdef class Intake:
    """Reads what arrives, piece by piece.

    Args:
        frame_bytes: a frame may have, as declared; 0: any number.
        message_bytes: a message may have, inflated; 0: any number.
        deflate: what is agreed about compression, or None.
    """

    def __init__(self, frame_bytes, message_bytes, deflate):
        self._frame_bytes = frame_bytes
        self._message_bytes = message_bytes
        self._inflater = None if deflate is None else Inflater(deflate)
        self._kind = NOTHING

    def __dealloc__(self):
        free(self._buffer)

    cdef Py_ssize_t take(self, const char* data, Py_ssize_t size) except -1:
        """Read up to the end of the next message or control frame, or of what is here.

        Returns:
            how many octets that were: all of them when `opcode` is NOTHING.

        Raises:
            ProtocolViolation: the client broke a rule; its class has the close code.
        """
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t count
        self.opcode = NOTHING
        self.payload = None
        while True:
            if self._in_frame:
                at += self._take_payload(data + at, size - at)
            if self.opcode != NOTHING or at == size:
                return at
            if self._held_size == 0:
                count = self._begin(<const unsigned char*>data + at, size - at)
                if count == 0:
                    self._held_size = size - at
                    memcpy(self._held, data + at, self._held_size)
                    return size
                at += count
            else:
                # As much as any head or control frame can have; less of it may be used.
                count = min(size - at, HEAD_BYTES + CONTROL_BYTES - self._held_size)
                memcpy(self._held + self._held_size, data + at, count)
                count = self._begin(self._held, self._held_size + count)
                if count == 0:
                    self._held_size += size - at
                    return size
                at += count - self._held_size
                self._held_size = 0
            if self.opcode != NOTHING:
                return at

    cdef Py_ssize_t _begin(self, const unsigned char* at, Py_ssize_t size) except -1:
        """Read the head of a frame, or a whole control frame; 0: it has not arrived as a whole."""
        cdef int opcode, index
        cdef unsigned long long length
        cdef Py_ssize_t head = 2
        cdef bytes payload
        if size < 2:
            return 0
        opcode = at[0] & 15
        length = at[1] & 127
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise ProtocolViolation("a reserved opcode", "RFC 6455 5.2")
        if opcode >= CLOSE and (not at[0] & FIN or length > CONTROL_BYTES):
            raise ProtocolViolation("a control frame in parts, or too long", "RFC 6455 5.5")
        if length == 126:
            head = 4
            if size < head:
                return 0
            length = at[2] << 8 | at[3]
            if length < 126:
                raise ProtocolViolation("a length that is not minimal", "RFC 6455 5.2")
        elif length == 127:
            head = 10
            if size < head:
                return 0
            length = 0
            for index in range(2, 10):
                length = length << 8 | at[index]
            if length < 65536 or length >> 63:
                raise ProtocolViolation("a length that is not minimal", "RFC 6455 5.2")
        self._judge(at[0], opcode, length)
        if not at[1] & MASKED:
            raise ProtocolViolation("a frame that is not masked", "RFC 6455 5.1")
        if size < head + 4:
            return 0
        if opcode >= CLOSE:
            if size < head + 4 + <Py_ssize_t>length:
                return 0
            payload = PyBytes_FromStringAndSize(NULL, length)
            unmask(PyBytes_AS_STRING(payload), <const char*>at + head + 4, length, at + head)
            self.payload = payload
            self.opcode = opcode
            return head + 4 + length
        if opcode != CONTINUATION:
            self._kind = opcode
            self._is_compressed = at[0] & COMPRESSED
        self._in_frame = True
        self._is_last = at[0] & FIN
        self._left = length
        memcpy(self._key, at + head, 4)
        return head + 4

    cdef int _judge(self, unsigned char first, int opcode, long long length) except -1:
        """Refuse a frame that must not come, or must not say this of itself."""
        cdef bint begins = self._kind == NOTHING
        cdef bint compressed = self._is_compressed
        if opcode >= CLOSE:
            if first & BITS:
                raise ProtocolViolation("a reserved bit", "RFC 6455 5.2")
            return 0
        if (opcode == CONTINUATION) == begins:
            raise ProtocolViolation("a frame out of order", "RFC 6455 5.4")
        if first & BITS and (first & BITS != COMPRESSED or not begins or self._inflater is None):
            raise ProtocolViolation("a reserved bit", "RFC 6455 5.2")
        if begins:
            compressed = first & COMPRESSED
        if self._frame_bytes and length > self._frame_bytes:
            raise BodyTooLarge("a frame larger than accepted", "RFC 6455 10.4")
        if not compressed and 0 <= self._most() < length:
            raise BodyTooLarge("a message larger than accepted", "RFC 6455 10.4")
        return 0

    cdef Py_ssize_t _take_payload(self, const char* data, Py_ssize_t size) except -1:
        """Some of the payload of the frame that is arriving, perhaps the rest of it."""
        cdef Py_ssize_t count = size if size < self._left else self._left
        cdef bint ends = count == self._left
        if ends and self._is_last and not self._begun and not self._is_compressed:
            self._take_whole(data, count)
        elif count:
            self._gather(data, count)
        self._left -= count
        if ends:
            self._in_frame = False
            if self._is_last and self.opcode == NOTHING:
                self._finish()
        return count

    cdef int _take_whole(self, const char* data, Py_ssize_t size) except -1:
        """All of a message that is not compressed."""
        cdef char* to
        if self._kind == BINARY:
            self.payload = PyBytes_FromStringAndSize(NULL, size)
            unmask(PyBytes_AS_STRING(self.payload), data, size, self._key)
        else:
            # Read as ASCII, which most texts are; else decoded from there.
            text = PyUnicode_New(size, 127)
            to = <char*>PyUnicode_DATA(text)
            if size and unmask(to, data, size, self._key):
                try:
                    text = PyUnicode_DecodeUTF8(to, size, NULL)
                except UnicodeDecodeError:
                    raise InvalidText("a text that is not UTF-8", "RFC 6455 8.1") from None
            self.payload = text
        self.opcode = self._kind
        self._kind = NOTHING
        return 0

    cdef int _gather(self, const char* data, Py_ssize_t size) except -1:
        """Put some of a message into the buffer."""
        cdef unsigned char[4] key
        cdef bytes part
        cdef char* to
        cdef int index
        self._begun = True
        memcpy(key, self._key, 4)
        for index in range(4):
            self._key[index] = key[(index + size) & 3]
        if self._is_compressed:
            part = PyBytes_FromStringAndSize(NULL, size)
            unmask(PyBytes_AS_STRING(part), data, size, key)
            return self._append(self._inflater.inflate(part, self._most()))
        to = self._reserve(size)
        if (unmask(to, data, size, key) or self._place.left) and self._kind == TEXT:
            if not is_utf8(&self._place, to, size):
                raise InvalidText("a text that is not UTF-8", "RFC 6455 8.1")
        self._size += size
        return 0

    cdef int _append(self, bytes inflated) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(inflated)
        if size:
            memcpy(self._reserve(size), PyBytes_AS_STRING(inflated), size)
            if self._kind == TEXT and not is_utf8(&self._place, PyBytes_AS_STRING(inflated), size):
                raise InvalidText("a text that is not UTF-8", "RFC 6455 8.1")
            self._size += size
        return 0

    cdef int _finish(self) except -1:
        """The message has arrived."""
        if self._is_compressed:
            self._append(self._inflater.finish(self._most()))
        if self._kind == BINARY:
            self.payload = PyBytes_FromStringAndSize(self._buffer, self._size)
        elif self._place.left:
            raise InvalidText("a text that ends within a character", "RFC 6455 8.1")
        else:
            self.payload = PyUnicode_DecodeUTF8(self._buffer, self._size, NULL)
        self.opcode = self._kind
        self._kind = NOTHING
        self._begun = False
        free(self._buffer)
        self._buffer = NULL
        self._size = self._capacity = 0
        return 0

    cdef char* _reserve(self, Py_ssize_t more) except NULL:
        """Room behind what is in the buffer: it doubles, but not beyond what the frame declares."""
        cdef Py_ssize_t needed = self._size + more
        cdef long long wanted = max(2 * self._capacity, 4096)
        if needed > self._capacity:
            if not self._is_compressed and self._is_last:
                wanted = min(wanted, self._size + self._left)
            wanted = max(wanted, needed)
            grown = <char*>realloc(self._buffer, wanted)
            if grown == NULL:
                raise MemoryError
            self._buffer = grown
            self._capacity = wanted
        return self._buffer + self._size

    cdef long long _most(self) noexcept:
        """Octets that the message may still grow by; -1: any number."""
        return self._message_bytes - self._size if self._message_bytes else -1
