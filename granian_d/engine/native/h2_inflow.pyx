"""The reading half of an HTTP/2 connection: octets to frames, frames to what they say (RFC 9113 6).

Frames are read where they are, in the transport's buffer; the beginning of one that has not arrived
whole is kept. What concerns the connection is done here, what concerns streams in `h2`. Whatever
breaks a rule of the connection is raised, and ends in `break_off`.
"""

from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport INFINITY
from libc.string cimport memcmp, memcpy

from granian_d.engine.native.h2_exchange cimport H2Exchange
from granian_d.engine.native.h2_frames cimport (
    ACK,
    CONTINUATION,
    DATA,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    END_HEADERS,
    GOAWAY,
    HEAD_BYTES,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    FIRST_WINDOW,
    LEAST_FRAME,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    MOST_WINDOW,
    NO_RFC7540_PRIORITIES,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    read_32,
    write_32,
    write_head,
    write_setting,
)
from granian_d.engine.native.hpack cimport TABLE_BYTES

from granian_d.engine.pure import h2_attacks
from granian_d.engine.pure.h2_frames import SECTION_FRAMES
from granian_d.errors import FlowControlBroken, FrameSizeWrong, PeerTooBusy, ProtocolViolation

cdef enum:
    PREFACE_BYTES = 24

cdef int _SECTION_FRAMES = SECTION_FRAMES
cdef double _PERIOD_S = h2_attacks.PERIOD_S
cdef int[KINDS] _most  # h2_attacks.LIMITS, as C reads them
cdef bint[KINDS] _slowly
cdef list _reasons = [None] * KINDS

cdef const char* PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


cdef class H2Inflow(H2Outflow):
    """What an endpoint of HTTP/2 reads with."""

    cdef int feed(self, const char* data, Py_ssize_t size) except -1:
        if self.over:
            return 0
        self.heard_at = self.clock.now
        self.batch += 1
        try:
            self._read(data, size)
        except ProtocolViolation as violation:
            self.break_off(violation)
        finally:
            self.batch -= 1
        if self.batch == 0:
            self.settle()
        return 0

    cdef int greet(self) except -1:
        """Our connection preface: SETTINGS, and the window of the connection (RFC 9113 3.4)."""
        cdef char* to
        cdef char* at
        cdef Py_ssize_t size
        if self._greeted:
            return 0
        self._greeted = True
        at = to = self.claim(HEAD_BYTES + 7 * 6) + HEAD_BYTES
        at = write_setting(at, HEADER_TABLE_SIZE, TABLE_BYTES)
        at = write_setting(at, MAX_CONCURRENT_STREAMS, <unsigned int>self.bounds.streams)
        at = write_setting(at, INITIAL_WINDOW_SIZE, <unsigned int>self.bounds.stream_window)
        at = write_setting(at, MAX_FRAME_SIZE, <unsigned int>self.bounds.frame_bytes)
        at = write_setting(at, MAX_HEADER_LIST_SIZE, <unsigned int>self.bounds.fields_bytes)
        at = write_setting(at, NO_RFC7540_PRIORITIES, 1)
        if self.bounds.websocket:
            at = write_setting(at, ENABLE_CONNECT_PROTOCOL, 1)
        size = at - to
        write_head(to - HEAD_BYTES, size, SETTINGS, 0, 0)
        self._out_size += HEAD_BYTES + size
        if self.bounds.connection_window > FIRST_WINDOW:
            self.frame_32(
                WINDOW_UPDATE, 0, <unsigned int>(self.bounds.connection_window - FIRST_WINDOW)
            )
        return 0

    # --- octets --------------------------------------------------------------------------------

    cdef int _read(self, const char* data, Py_ssize_t size) except -1:
        cdef bytearray held
        cdef Py_ssize_t count
        while size and not self.over:
            if self._held is None:
                count = self._unit(data, size)
                if count == 0:
                    self._held = PyByteArray_FromStringAndSize(data, size)
                    return 0
                data += count
                size -= count
                continue
            # Complete the one that is held, and nothing else: the others are read where they are.
            held, self._held = self._held, None
            count = min(size, self._needed(held) - PyByteArray_GET_SIZE(held))
            held += PyBytes_FromStringAndSize(data, count)
            data += count
            size -= count
            if self._unit(PyByteArray_AS_STRING(held), PyByteArray_GET_SIZE(held)) == 0:
                self._held = held
        return 0

    cdef Py_ssize_t _needed(self, bytearray held) except -1:
        """How many octets must be there for the next step."""
        if not self._preface_read:
            return PREFACE_BYTES
        if PyByteArray_GET_SIZE(held) < HEAD_BYTES:
            return HEAD_BYTES
        return HEAD_BYTES + (read_32(PyByteArray_AS_STRING(held)) >> 8)

    cdef Py_ssize_t _unit(self, const char* data, Py_ssize_t size) except -1:
        """Read the preface or a frame; how many octets it had, 0 when it is not whole."""
        cdef Py_ssize_t length
        cdef int kind, flags
        if not self._preface_read:
            if memcmp(data, PREFACE, min(size, <Py_ssize_t>PREFACE_BYTES)) != 0:
                raise ProtocolViolation("no connection preface of HTTP/2", "RFC 9113 3.4")
            if size < PREFACE_BYTES:
                return 0
            self._preface_read = True
            self.window += self.kept_back
            self.kept_back = 0
            self.greet()
            return PREFACE_BYTES
        if size < HEAD_BYTES:
            return 0
        length = read_32(data) >> 8
        kind = <unsigned char>data[3]
        flags = <unsigned char>data[4]
        if not self.settled and (kind != SETTINGS or flags & ACK):
            raise ProtocolViolation("a preface without SETTINGS", "RFC 9113 3.4")
        if length > self.bounds.frame_bytes:
            raise FrameSizeWrong("a frame larger than was allowed", "RFC 9113 4.2")
        if size < HEAD_BYTES + length:
            return 0
        self._frame(kind, flags, read_32(data + 5) & 0x7FFFFFFF, data + HEAD_BYTES, length)
        return HEAD_BYTES + length

    # --- frames --------------------------------------------------------------------------------

    cdef int _frame(
        self, int kind, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        cdef Py_ssize_t padding = 0
        if self._block_number and (kind != CONTINUATION or number != self._block_number):
            raise ProtocolViolation("another frame within a field block", "RFC 9113 4.3")
        if kind == HEADERS:
            return self._headers(flags, number, data, size)
        if kind == DATA:
            if number == 0:
                raise ProtocolViolation("DATA without a stream", "RFC 9113 6.1")
            if flags & PADDED:
                padding = _padding(data, size)
                data += 1
                size -= padding
            return self.on_data(number, flags, data, size, padding)
        if kind == WINDOW_UPDATE:
            return self._window_update(number, data, size)
        if kind == SETTINGS:
            return self._settings(flags, number, data, size)
        if kind == PING:
            return self._ping(flags, number, data, size)
        if kind == CONTINUATION:
            return self._continuation(flags, number, data, size)
        if kind == RST_STREAM:
            if number == 0:
                raise ProtocolViolation("RST_STREAM without a stream", "RFC 9113 6.4")
            if size != 4:
                raise FrameSizeWrong("a RST_STREAM of another length than 4", "RFC 9113 6.4")
            self.check_begun(number)
            return self.on_reset(number)
        if kind == GOAWAY:
            if number:
                raise ProtocolViolation("GOAWAY of a stream", "RFC 9113 6.8")
            if size < 8:
                raise FrameSizeWrong("a GOAWAY that is too short", "RFC 9113 6.8")
            self.count(GOAWAY)
            return self.on_goaway()
        if kind == PRIORITY:
            return self._priority(number, data, size)
        if kind == PRIORITY_UPDATE:
            return self._priority_update(number, data, size)
        if kind == PUSH_PROMISE:
            raise ProtocolViolation("PUSH_PROMISE of a client", "RFC 9113 8.4")
        return self.count(UNKNOWN)  # RFC 9113 5.5: unknown ones are ignored

    cdef int check_begun(self, unsigned int number) except -1:
        """Refuse what concerns a stream that is idle (RFC 9113 5.1)."""
        if number > self.last_number or number & 1 == 0:
            raise ProtocolViolation("a frame for a stream that is idle", "RFC 9113 5.1")
        return 0

    cdef int _headers(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        cdef Py_ssize_t padding
        if number & 1 == 0:
            raise ProtocolViolation("HEADERS without a stream of a client", "RFC 9113 5.1.1, 6.2")
        if flags & PADDED:
            padding = _padding(data, size)
            data += 1
            size -= padding
        if flags & WITH_PRIORITY:
            if size < 5:
                raise FrameSizeWrong("HEADERS that are too short", "RFC 9113 6.2")
            if read_32(data) & 0x7FFFFFFF == number:
                flags |= SELF_DEPENDENT  # judged behind the block, which must be decoded
            data += 5
            size -= 5
        if flags & END_HEADERS:
            return self.on_fields(number, flags, data, size)
        self._block = PyByteArray_FromStringAndSize(data, size)
        self._block_number = number
        self._block_flags = flags
        self._block_frames = 1
        self.block_since = self.clock.now
        return 0

    cdef int _continuation(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        cdef bytearray block = self._block
        if self._block_number == 0:
            raise ProtocolViolation("CONTINUATION of nothing", "RFC 9113 6.10")
        self._block_frames += 1
        if self._block_frames > _SECTION_FRAMES or (
            PyByteArray_GET_SIZE(block) + size
            > max(2 * self.bounds.fields_bytes, self.bounds.frame_bytes)
        ):
            raise PeerTooBusy("a field block without end", "RFC 9113 10.5.1")
        block += PyBytes_FromStringAndSize(data, size)
        if flags & END_HEADERS:
            self._block = None
            self._block_number = 0
            self.block_since = INFINITY
            self.on_fields(
                number, self._block_flags, PyByteArray_AS_STRING(block), PyByteArray_GET_SIZE(block)
            )
        return 0

    cdef int _settings(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        if number:
            raise ProtocolViolation("SETTINGS of a stream", "RFC 9113 6.5")
        self.count(SETTINGS)
        if flags & ACK:
            if size:
                raise FrameSizeWrong("an ACK of SETTINGS with a payload", "RFC 9113 6.5")
            return 0
        self.apply_settings(data, size)
        self.settled = True
        write_head(self.claim(HEAD_BYTES), 0, SETTINGS, ACK, 0)
        self._out_size += HEAD_BYTES
        return self.answered()

    cdef int apply_settings(self, const char* data, Py_ssize_t size) except -1:
        """RFC 9113 6.5.2."""
        if size % 6:
            raise FrameSizeWrong("SETTINGS of a length that is no multiple of 6", "RFC 9113 6.5")
        while size:
            self._set(
                <unsigned char>data[0] << 8 | <unsigned char>data[1], read_32(data + 2)
            )
            data += 6
            size -= 6
        return 0

    cdef int _set(self, int name, unsigned int value) except -1:
        if name == HEADER_TABLE_SIZE:
            self.heads.encoder.resize(value)
        elif name in (ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES):
            if value > 1:
                raise ProtocolViolation("a setting that is neither 0 nor 1", "RFC 9113 6.5.2")
        elif name == INITIAL_WINDOW_SIZE:
            self._set_first_window(value)
        elif name == MAX_FRAME_SIZE:
            if not LEAST_FRAME <= value <= 0xFFFFFF:
                raise ProtocolViolation("SETTINGS_MAX_FRAME_SIZE out of range", "RFC 9113 6.5.2")
        return 0

    cdef int _set_first_window(self, unsigned int value) except -1:
        """RFC 9113 6.9.2: also what streams have left changes, perhaps to less than nothing."""
        cdef H2Exchange exchange
        cdef long long change = <long long>value - self.first_window
        if value > MOST_WINDOW:
            raise FlowControlBroken("SETTINGS_INITIAL_WINDOW_SIZE out of range", "RFC 9113 6.5.2")
        self.first_window = value
        for exchange in self.streams.values():
            exchange.window += change
            if exchange.window > MOST_WINDOW:
                raise FlowControlBroken("a window beyond 2**31-1", "RFC 9113 6.9.2")
        return 0

    cdef int _ping(
        self, int flags, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        if number:
            raise ProtocolViolation("PING of a stream", "RFC 9113 6.7")
        if size != 8:
            raise FrameSizeWrong("a PING of another length than 8", "RFC 9113 6.7")
        self.count(PING)
        if flags & ACK:
            return self.on_ack(data)
        self.send_ping(ACK, data)
        return self.answered()

    cdef int _window_update(
        self, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        cdef H2Exchange exchange
        cdef unsigned int more
        if size != 4:
            raise FrameSizeWrong("a WINDOW_UPDATE of another length than 4", "RFC 9113 6.9")
        more = read_32(data) & 0x7FFFFFFF
        self.count(WINDOW_UPDATE)
        if number == 0:
            if more == 0:
                raise ProtocolViolation("a WINDOW_UPDATE of nothing", "RFC 9113 6.9")
            self.window += more
            if self.window > MOST_WINDOW:
                raise FlowControlBroken("a window beyond 2**31-1", "RFC 9113 6.9.1")
            return 0
        self.check_begun(number)
        exchange = self.streams.get(number)
        if exchange is None:
            return 0
        if more == 0:
            return self.on_stream_fault(
                number, ProtocolViolation("a WINDOW_UPDATE of nothing", "RFC 9113 6.9")
            )
        exchange.window += more
        if exchange.window > MOST_WINDOW:
            return self.on_stream_fault(
                number, FlowControlBroken("a window beyond 2**31-1", "RFC 9113 6.9.1")
            )
        return 0

    cdef int _priority(self, unsigned int number, const char* data, Py_ssize_t size) except -1:
        """What it says is of no use any more (RFC 9113 5.3.2)."""
        self.count(PRIORITY)
        if number == 0:
            raise ProtocolViolation("PRIORITY without a stream", "RFC 9113 6.3")
        if size != 5:
            violation = FrameSizeWrong("a PRIORITY not of 5 octets", "RFC 9113 6.3")
        elif read_32(data) & 0x7FFFFFFF == number:
            violation = ProtocolViolation("a stream that depends on itself", "RFC 9113 5.3.1")
        else:
            return 0
        if number not in self.streams:
            raise violation
        return self.on_stream_fault(number, violation)

    cdef int _priority_update(
        self, unsigned int number, const char* data, Py_ssize_t size
    ) except -1:
        """RFC 9218 7.1."""
        self.count(UPDATES)
        if number:
            raise ProtocolViolation("PRIORITY_UPDATE of a stream", "RFC 9218 7.1")
        if size < 4:
            raise FrameSizeWrong("a PRIORITY_UPDATE that is too short", "RFC 9218 7.1")
        number = read_32(data) & 0x7FFFFFFF
        if number & 1 == 0:
            raise ProtocolViolation("PRIORITY_UPDATE for no stream of a client", "RFC 9218 7.1")
        return self.on_wishes(number, PyBytes_FromStringAndSize(data + 4, size - 4))

    cdef int count(self, int what) except -1:
        """One more of what keeps us busy with nothing (engine.pure.h2_attacks).

        Raises:
            PeerTooBusy: that was too many.
        """
        cdef int kind
        if self.moved or self.clock.now >= self._counted_since + _PERIOD_S:
            self.moved = False
            self._counted_since = self.clock.now
            for kind in range(KINDS):
                if _slowly[kind]:
                    self._counts[kind] = 0
        self._counts[what] += 1
        if self._counts[what] > _most[what]:
            raise PeerTooBusy(_reasons[what], "RFC 9113 10.5")
        return 0

    cdef int answered(self) except -1:
        """We had to write something because of what the peer has sent."""
        return 0 if self.room else self.count(UNREAD_ANSWERS)

    # --- frames that are written here ----------------------------------------------------------

    cdef int goaway(self, unsigned int last, unsigned int code) except -1:
        """RFC 9113 6.8."""
        cdef char* at = write_head(self.claim(HEAD_BYTES + 8), 8, GOAWAY, 0, 0)
        write_32(write_32(at, last), code)
        self._out_size += HEAD_BYTES + 8
        return 0

    cdef int send_ping(self, int flags, const char* payload) except -1:
        cdef char* at = write_head(self.claim(HEAD_BYTES + 8), 8, PING, flags, 0)
        memcpy(at, payload, 8)
        self._out_size += HEAD_BYTES + 8
        return 0

    # --- done by H2Endpoint --------------------------------------------------------------------

    cdef int on_fields(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size
    ) except -1:
        """A whole field block."""
        raise NotImplementedError

    cdef int on_data(
        self, unsigned int number, int flags, const char* data, Py_ssize_t size, Py_ssize_t padding
    ) except -1:
        """A part of a body; `padding` counts for the windows, too."""
        raise NotImplementedError

    cdef int on_reset(self, unsigned int number) except -1:
        """The peer has reset a stream."""
        raise NotImplementedError

    cdef int on_stream_fault(self, unsigned int number, violation) except -1:
        """A rule was broken that concerns one stream alone (RFC 9113 5.4.2)."""
        raise NotImplementedError

    cdef int on_ack(self, const char* payload) except -1:
        """The peer has answered a PING."""
        raise NotImplementedError

    cdef int on_wishes(self, unsigned int number, bytes value) except -1:
        """The priority of a stream, perhaps before it has begun."""
        raise NotImplementedError

    cdef int on_goaway(self) except -1:
        """The peer begins no other stream."""
        raise NotImplementedError

    cdef int break_off(self, violation) except -1:
        """A rule of the connection was broken (RFC 9113 5.4.1)."""
        raise NotImplementedError


cdef _fill():
    cdef int kind
    others = {
        h2_attacks.UNKNOWN: UNKNOWN,
        PRIORITY_UPDATE: UPDATES,
        h2_attacks.RESETS: RESETS,
        h2_attacks.EMPTY_DATA: EMPTY_DATA,
        h2_attacks.UNREAD_ANSWERS: UNREAD_ANSWERS,
    }
    for what, limit in h2_attacks.LIMITS.items():
        kind = others.get(what, what)
        _most[kind], _slowly[kind], _reasons[kind] = limit.most, limit.slowly, limit.reason


_fill()


cdef Py_ssize_t _padding(const char* data, Py_ssize_t size) except -1:
    """What is not payload of a padded frame: the octet that tells, and as many as it tells."""
    if size == 0:
        raise FrameSizeWrong("a padded frame without a length of its padding", "RFC 9113 6.1")
    if <unsigned char>data[0] >= size:
        raise ProtocolViolation("padding longer than its frame", "RFC 9113 6.1")
    return 1 + <unsigned char>data[0]
