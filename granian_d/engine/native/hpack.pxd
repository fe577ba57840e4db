# Header compression for HTTP/2 (RFC 7541).

cdef enum:
    TABLE_BYTES = 4096  # SETTINGS_HEADER_TABLE_SIZE: ours, and the most that we use of a peer's
    RING = 128  # entries that fit into it, of 32 octets at least (RFC 7541 4.1)
    MOST_KINDS = 256


cdef class Decoder:
    cdef list _entries  # a ring of (name, value)
    cdef unsigned char[RING] _kinds
    cdef unsigned int _newest
    cdef unsigned int _count
    cdef Py_ssize_t _size
    cdef Py_ssize_t _limit
    cdef readonly unsigned long long changes  # of the dynamic table, so far
    # Of the last block
    cdef readonly list fields
    cdef unsigned char[MOST_KINDS] kinds
    cdef readonly Py_ssize_t octets  # of all names and values
    cdef readonly Py_ssize_t lines  # how many fields there are

    cdef int read(
        self, const unsigned char* at, Py_ssize_t size,
        Py_ssize_t most_bytes,
    ) except -1
    cdef int _literal(
        self, const unsigned char** at, const unsigned char* end, unsigned int mask, bint indexed,
        Py_ssize_t most_bytes,
    ) except -1
    cdef tuple _entry(self, unsigned int index, unsigned char* kind)
    cdef int _keep(
        self, tuple pair, unsigned char kind, Py_ssize_t most_bytes
    ) except -1
    cdef int _insert(self, tuple pair, unsigned char kind) except -1
    cdef int _resize(self, Py_ssize_t limit) except -1


cdef class Encoder:
    cdef list _entries  # a ring of name + value
    cdef unsigned int[RING] _hashes  # of name and value
    cdef unsigned int[RING] _name_hashes
    cdef Py_ssize_t[RING] _name_sizes
    cdef unsigned int[64] _seen  # hashes of fields that were not worth an entry yet
    cdef unsigned int _newest
    cdef unsigned int _count
    cdef Py_ssize_t _size
    cdef Py_ssize_t _limit
    cdef Py_ssize_t _least  # the smallest limit since the last block
    cdef bint _resized
    cdef readonly unsigned long long changes  # after which the same field is written otherwise

    cpdef int resize(self, Py_ssize_t limit) except -1
    cdef unsigned char* begin(self, unsigned char* to) noexcept
    cdef unsigned char* status(self, unsigned char* to, int status) except NULL
    cdef unsigned char* field(
        self, unsigned char* to, const unsigned char* name, Py_ssize_t name_size,
        const unsigned char* value, Py_ssize_t value_size,
    ) except NULL
    cdef unsigned int _find(
        self, unsigned int mix, const unsigned char* name, Py_ssize_t name_size,
        const unsigned char* value, Py_ssize_t value_size,
    ) noexcept
    cdef unsigned int _find_name(
        self, unsigned int mix, const unsigned char* name, Py_ssize_t name_size
    ) noexcept
    cdef int _insert(
        self, unsigned int mix, unsigned int name_mix, const unsigned char* name,
        Py_ssize_t name_size, const unsigned char* value, Py_ssize_t value_size,
    ) except -1
    cdef int _evict(self, Py_ssize_t limit) except -1


cdef Py_ssize_t field_bound(Py_ssize_t name_size, Py_ssize_t value_size) noexcept
