"""Header compression for HTTP/2 (RFC 7541).

The decoder keeps the tuples of its tables, so an indexed field costs a pointer; with each stands
what `h2_field` makes of it, so a field that was judged once is not judged again. It refuses all that
the RFC calls an error, and integers beyond four octets behind their prefix: nothing here is as long.

The encoder gives an entry to a field that it sees for the second time: what repeats itself pays for
the entry with the first repetition, and what does not (a length, a tag, an identifier) throws
nothing out that does. What an attacker might guess by the length of our blocks (RFC 7541 7.1) is
never indexed.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy

from granian_d.engine.native.h2_field cimport kind_of
from granian_d.engine.native.huffman cimport decoded, encode, encoded_size
from granian_d.engine.native.octets cimport lower_name

from granian_d.errors import PeerTooBusy, CompressionBroken

cdef enum:
    OVERHEAD = 32  # of an entry (RFC 7541 4.1)
    STATIC = 61
    ANY_BYTES = 1 << 30
    NAMES = 256  # seats of the table of static names: a power of two
    LONGEST = 1024  # a longer field is not worth an entry: it would throw out a quarter of the table

# RFC 7541 appendix A
_STATIC = [
    (b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"),
    (b":path", b"/index.html"), (b":scheme", b"http"), (b":scheme", b"https"),
    (b":status", b"200"), (b":status", b"204"), (b":status", b"206"), (b":status", b"304"),
    (b":status", b"400"), (b":status", b"404"), (b":status", b"500"), (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
]
_STATIC += [
    (name, b"")
    for name in b"""
    accept-language accept-ranges accept access-control-allow-origin age allow authorization
    cache-control content-disposition content-encoding content-language content-length
    content-location content-range content-type cookie date etag expect expires from host if-match
    if-modified-since if-none-match if-range if-unmodified-since last-modified link location
    max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server
    set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate
    """.split()
]
assert len(_STATIC) == STATIC

cdef list _static = [None, *((lower_name(name, len(name)), value) for name, value in _STATIC)]
cdef unsigned char[STATIC + 1] _static_kinds
cdef unsigned char[NAMES] _static_names  # the first index of the name, at the seat of its hash

cdef unsigned char* _scratch = NULL  # where strings are decoded; of the thread that runs the loop
cdef Py_ssize_t _scratch_size = 0


cdef unsigned char* _reserve(Py_ssize_t size) except NULL:
    global _scratch, _scratch_size
    if size > _scratch_size:
        grown = <unsigned char*>realloc(_scratch, size)
        if grown == NULL:
            raise MemoryError
        _scratch = grown
        _scratch_size = size
    return _scratch


cdef inline unsigned int _mix(const unsigned char* data, Py_ssize_t size, unsigned int mix) noexcept:
    """FNV-1a."""
    cdef Py_ssize_t index
    for index in range(size):
        mix = (mix ^ data[index]) * 16777619
    return mix


cdef inline unsigned int _name_mix(const unsigned char* name, Py_ssize_t size) noexcept:
    return _mix(name, size, 2166136261U)


# --- decoding --------------------------------------------------------------------------------------


cdef inline int _integer(
    const unsigned char** at, const unsigned char* end, unsigned int mask, unsigned int* number
) except -1:
    """RFC 7541 5.1."""
    cdef const unsigned char* next = at[0]
    cdef int shift = 0
    number[0] = next[0] & mask
    next += 1
    if number[0] == mask:
        while True:
            if next == end:
                raise CompressionBroken("a field block that ends within a number", "RFC 7541 5.1")
            if shift > 21:
                raise CompressionBroken("a number beyond measure", "RFC 7541 5.1")
            number[0] += <unsigned int>(next[0] & 0x7F) << shift
            shift += 7
            next += 1
            if not (next - 1)[0] & 0x80:
                break
    at[0] = next
    return 0


cdef int _string(
    const unsigned char** at, const unsigned char* end, const unsigned char** data, Py_ssize_t* size
) except -1:
    """RFC 7541 5.2. What is found is valid until the next string is read."""
    cdef unsigned int length
    cdef bint coded
    if at[0] == end:
        raise CompressionBroken("a field block that ends within a field", "RFC 7541 5.2")
    coded = at[0][0] & 0x80
    _integer(at, end, 0x7F, &length)
    if <Py_ssize_t>length > end - at[0]:
        raise CompressionBroken("a field block that ends within a string", "RFC 7541 5.2")
    data[0] = at[0]
    size[0] = length
    at[0] += length
    if coded:
        _reserve(<Py_ssize_t>length * 8 // 5 + 2)
        size[0] = decoded(data[0], length, _scratch)
        data[0] = _scratch
        if size[0] < 0:
            raise CompressionBroken("a string with a broken Huffman code", "RFC 7541 5.2")
    return 0


cdef class Decoder:
    """Reads the field blocks of a connection, in their order.

    Attributes:
        fields: of the last block.
        octets: of their names and values.
        lines: how many they are.
        changes: counts what has been done to the dynamic table.
    """

    def __init__(self):
        self._entries = [None] * RING
        self._limit = TABLE_BYTES
        self.fields = []

    def decode(self, bytes block not None, most_bytes=ANY_BYTES):
        """Decode a block; see `read`."""
        self.read(
            <const unsigned char*>PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block),
            most_bytes,
        )
        return self.fields

    cdef int read(
        self, const unsigned char* at, Py_ssize_t size,
        Py_ssize_t most_bytes,
    ) except -1:
        """Decode a whole block into `fields` and what else is said of it.

        Args:
            most_bytes: of names and values together, with 32 more for each field (RFC 9113 6.5.2).

        Raises:
            CompressionBroken: the block is broken, and with it the connection (RFC 9113 4.3).
            PeerTooBusy: it is larger.
        """
        cdef const unsigned char* end = at + size
        cdef unsigned int index
        cdef unsigned char kind
        cdef tuple pair
        self.fields = []
        self.octets = self.lines = 0
        while at < end and at[0] & 0xE0 == 0x20:  # RFC 7541 4.2: at the beginning and nowhere else
            _integer(&at, end, 0x1F, &index)
            if index > TABLE_BYTES:
                raise CompressionBroken("a table larger than was allowed", "RFC 7541 6.3")
            self._resize(index)
        while at < end:
            if at[0] & 0x80:
                _integer(&at, end, 0x7F, &index)
                pair = self._entry(index, &kind)
                self._keep(pair, kind, most_bytes)
            elif at[0] & 0x40:
                self._literal(&at, end, 0x3F, True, most_bytes)
            elif at[0] & 0x20:
                raise CompressionBroken("a table size that changes within a block", "RFC 7541 4.2")
            else:
                self._literal(&at, end, 0x0F, False, most_bytes)
        return 0

    cdef int _literal(
        self, const unsigned char** at, const unsigned char* end, unsigned int mask, bint indexed,
        Py_ssize_t most_bytes,
    ) except -1:
        """RFC 7541 6.2."""
        cdef unsigned int index
        cdef unsigned char kind
        cdef const unsigned char* data
        cdef Py_ssize_t size
        cdef bytes name
        cdef tuple pair
        _integer(at, end, mask, &index)
        if index:
            name = <bytes>self._entry(index, &kind)[0]
        else:
            _string(at, end, &data, &size)
            name = lower_name(<const char*>data, size) if size else b""
        _string(at, end, &data, &size)
        pair = (name, PyBytes_FromStringAndSize(<const char*>data, size))
        kind = kind_of(name, <bytes>pair[1])
        if indexed:
            self._insert(pair, kind)
        return self._keep(pair, kind, most_bytes)

    cdef tuple _entry(self, unsigned int index, unsigned char* kind):
        cdef unsigned int seat
        if 0 < index <= STATIC:
            kind[0] = _static_kinds[index]
            return <tuple>_static[index]
        if index == 0 or index - STATIC > self._count:
            raise CompressionBroken("an index that has no entry", "RFC 7541 2.3.3")
        seat = (self._newest - (index - STATIC - 1)) & (RING - 1)
        kind[0] = self._kinds[seat]
        return <tuple>self._entries[seat]

    cdef int _keep(
        self, tuple pair, unsigned char kind, Py_ssize_t most_bytes
    ) except -1:
        self.octets += PyBytes_GET_SIZE(pair[0]) + PyBytes_GET_SIZE(pair[1])
        if self.lines < MOST_KINDS:
            self.kinds[self.lines] = kind
        self.lines += 1
        if self.octets + OVERHEAD * self.lines > most_bytes:
            raise PeerTooBusy("a field section far too large", "RFC 9113 10.5.1")
        PyList_Append(self.fields, pair)
        return 0

    cdef int _insert(self, tuple pair, unsigned char kind) except -1:
        """RFC 7541 4.4; what is too large for the table empties it."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(pair[0]) + PyBytes_GET_SIZE(pair[1]) + OVERHEAD
        cdef Py_ssize_t limit = self._limit
        self._resize(limit - size if size <= limit else 0)
        self._limit = limit
        if size <= limit:
            self._newest = (self._newest + 1) & (RING - 1)
            self._entries[self._newest] = pair
            self._kinds[self._newest] = kind
            self._count += 1
            self._size += size
        return 0

    cdef int _resize(self, Py_ssize_t limit) except -1:
        """Throw the oldest entries out until the rest fits."""
        cdef unsigned int oldest
        cdef tuple pair
        self._limit = limit
        self.changes += 1
        while self._size > limit:
            oldest = (self._newest - (self._count - 1)) & (RING - 1)
            pair = <tuple>self._entries[oldest]
            self._size -= PyBytes_GET_SIZE(pair[0]) + PyBytes_GET_SIZE(pair[1]) + OVERHEAD
            self._entries[oldest] = None
            self._count -= 1
        return 0


# --- encoding --------------------------------------------------------------------------------------


cdef inline unsigned char* _write_integer(
    unsigned char* to, unsigned int number, unsigned int mask, unsigned char first
) noexcept nogil:
    """RFC 7541 5.1; `first` has the bits in front of the prefix."""
    if number < mask:
        to[0] = <unsigned char>(first | number)
        return to + 1
    to[0] = <unsigned char>(first | mask)
    to += 1
    number -= mask
    while number >= 0x80:
        to[0] = <unsigned char>(number & 0x7F | 0x80)
        to += 1
        number >>= 7
    to[0] = <unsigned char>number
    return to + 1


cdef unsigned char* _write_string(
    unsigned char* to, const unsigned char* data, Py_ssize_t size
) noexcept nogil:
    """RFC 7541 5.2, in the shorter of the two forms."""
    cdef Py_ssize_t coded = encoded_size(data, size)
    if coded < size:
        to = _write_integer(to, <unsigned int>coded, 0x7F, 0x80)
        return encode(data, size, to)
    to = _write_integer(to, <unsigned int>size, 0x7F, 0)
    memcpy(to, data, size)
    return to + size


cdef Py_ssize_t field_bound(Py_ssize_t name_size, Py_ssize_t value_size) noexcept:
    """So many octets `Encoder.field` may write, with room for two changes of the table's size."""
    return name_size + value_size + 32


cdef bint _is_secret(const unsigned char* name, Py_ssize_t size) noexcept:
    """Whether a field of a response is one that an attacker wants to guess (RFC 7541 7.1.3)."""
    return size == 10 and memcmp(name, b"set-cookie", 10) == 0


cdef class Encoder:
    """Writes the field blocks of a connection, in their order.

    Attributes:
        changes: counts what makes the same field be written in another way.
    """

    def __init__(self):
        self._entries = [None] * RING
        self._limit = self._least = TABLE_BYTES

    def encode(self, fields):
        """Encode a block; names are in lower case."""
        cdef Py_ssize_t bound = 32
        cdef bytes name, value, block
        cdef unsigned char* to
        fields = list(fields)
        for name, value in fields:
            bound += field_bound(len(name), len(value))
        block = PyBytes_FromStringAndSize(NULL, bound)
        to = self.begin(<unsigned char*>PyBytes_AS_STRING(block))
        for name, value in fields:
            to = self.field(
                to,
                <const unsigned char*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                <const unsigned char*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
            )
        return block[: to - <unsigned char*>PyBytes_AS_STRING(block)]

    cpdef int resize(self, Py_ssize_t limit) except -1:
        """The peer allows a table of this size; ours has never more than TABLE_BYTES."""
        limit = min(limit, TABLE_BYTES)
        if limit == self._limit:
            return 0
        self._resized = True
        self._least = min(self._least, limit)
        self._limit = limit
        self.changes += 1
        return self._evict(limit)

    cdef unsigned char* begin(self, unsigned char* to) noexcept:
        """Begin a block: say what has become of the table's size (RFC 7541 4.2)."""
        if self._resized:
            self._resized = False
            if self._least < self._limit:
                to = _write_integer(to, <unsigned int>self._least, 0x1F, 0x20)
            to = _write_integer(to, <unsigned int>self._limit, 0x1F, 0x20)
            self._least = self._limit
            self.changes += 1
        return to

    cdef unsigned char* status(self, unsigned char* to, int status) except NULL:
        """The field :status."""
        cdef unsigned char[3] digits
        cdef int index
        if status == 200:
            to[0] = 0x88
            return to + 1
        for index in range(2, -1, -1):
            digits[index] = <unsigned char>(48 + status % 10)
            status //= 10
        return self.field(to, b":status", 7, digits, 3)

    cdef unsigned char* field(
        self, unsigned char* to, const unsigned char* name, Py_ssize_t name_size,
        const unsigned char* value, Py_ssize_t value_size,
    ) except NULL:
        """Write one field."""
        cdef unsigned int name_mix = _name_mix(name, name_size)
        cdef unsigned int mix = _mix(value, value_size, name_mix ^ 0x5BD1E995)
        cdef unsigned int index = self._find(mix, name, name_size, value, value_size)
        cdef unsigned char first = 0
        cdef unsigned int mask = 0x0F
        if index:
            return _write_integer(to, index, 0x7F, 0x80)
        index = self._find_name(name_mix, name, name_size)
        if _is_secret(name, name_size):
            first = 0x10
        elif name_size + value_size <= LONGEST and self._seen[mix & 63] == mix:
            first, mask = 0x40, 0x3F
        else:
            self._seen[mix & 63] = mix
            self.changes += 1  # the next time it is written in another way
        to = _write_integer(to, index, mask, first)
        if index == 0:
            to = _write_string(to, name, name_size)
        to = _write_string(to, value, value_size)
        if first == 0x40:
            self._insert(mix, name_mix, name, name_size, value, value_size)
        return to

    cdef unsigned int _find(
        self, unsigned int mix, const unsigned char* name, Py_ssize_t name_size,
        const unsigned char* value, Py_ssize_t value_size,
    ) noexcept:
        """The index of a field; 0 when there is none."""
        cdef unsigned int age, seat
        cdef const char* known
        for age in range(self._count):
            seat = (self._newest - age) & (RING - 1)
            if self._hashes[seat] != mix or self._name_sizes[seat] != name_size:
                continue
            entry = <bytes>self._entries[seat]
            known = PyBytes_AS_STRING(entry)
            if (
                PyBytes_GET_SIZE(entry) == name_size + value_size
                and memcmp(known, name, name_size) == 0
                and memcmp(known + name_size, value, value_size) == 0
            ):
                return STATIC + 1 + age
        if name[0] == b":" and value_size == 3:  # :status, the only pseudo-field of a response
            for age in range(8, 15):
                known = PyBytes_AS_STRING(<bytes>(<tuple>_static[age])[1])
                if name_size == 7 and memcmp(known, value, 3) == 0:
                    return age
        return 0

    cdef unsigned int _find_name(
        self, unsigned int mix, const unsigned char* name, Py_ssize_t name_size
    ) noexcept:
        """An index with that name; 0 when there is none."""
        cdef unsigned int seat = (mix ^ (mix >> 8)) & (NAMES - 1)
        cdef unsigned int age
        cdef const char* known
        while _static_names[seat]:
            entry = <bytes>(<tuple>_static[_static_names[seat]])[0]
            if PyBytes_GET_SIZE(entry) == name_size and (
                memcmp(PyBytes_AS_STRING(entry), name, name_size) == 0
            ):
                return _static_names[seat]
            seat = (seat + 1) & (NAMES - 1)
        for age in range(self._count):
            seat = (self._newest - age) & (RING - 1)
            if self._name_hashes[seat] == mix and self._name_sizes[seat] == name_size:
                known = PyBytes_AS_STRING(<bytes>self._entries[seat])
                if memcmp(known, name, name_size) == 0:
                    return STATIC + 1 + age
        return 0

    cdef int _insert(
        self, unsigned int mix, unsigned int name_mix, const unsigned char* name,
        Py_ssize_t name_size, const unsigned char* value, Py_ssize_t value_size,
    ) except -1:
        cdef Py_ssize_t size = name_size + value_size + OVERHEAD
        cdef bytes entry
        self.changes += 1
        if size > self._limit:
            return self._evict(0)  # RFC 7541 4.4, as the peer does
        entry = PyBytes_FromStringAndSize(NULL, name_size + value_size)
        memcpy(PyBytes_AS_STRING(entry), name, name_size)
        memcpy(PyBytes_AS_STRING(entry) + name_size, value, value_size)
        self._evict(self._limit - size)
        self._newest = (self._newest + 1) & (RING - 1)
        self._entries[self._newest] = entry
        self._hashes[self._newest] = mix
        self._name_hashes[self._newest] = name_mix
        self._name_sizes[self._newest] = name_size
        self._count += 1
        self._size += size
        return 0

    cdef int _evict(self, Py_ssize_t limit) except -1:
        """Throw the oldest entries out until the rest fits."""
        cdef unsigned int oldest
        while self._size > limit:
            oldest = (self._newest - (self._count - 1)) & (RING - 1)
            self._size -= PyBytes_GET_SIZE(self._entries[oldest]) + OVERHEAD
            self._entries[oldest] = None
            self._count -= 1
        return 0


cdef _fill():
    cdef unsigned int mix, seat
    cdef int index
    cdef bytes name
    for index in range(STATIC, 0, -1):
        _static_kinds[index] = kind_of(_static[index][0], _static[index][1])
    for index in range(1, STATIC + 1):
        name = _static[index][0]
        mix = _name_mix(<const unsigned char*>PyBytes_AS_STRING(name), len(name))
        seat = (mix ^ (mix >> 8)) & (NAMES - 1)
        while _static_names[seat] and _static[_static_names[seat]][0] != name:
            seat = (seat + 1) & (NAMES - 1)
        if not _static_names[seat]:
            _static_names[seat] = <unsigned char>index


_fill()
