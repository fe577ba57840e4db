# Octets of WebSocket frames (RFC 6455 5.2).

cdef enum Opcode:
    NOTHING = -1
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

cdef enum:
    HEAD_BYTES = 14  # of a header at most: two, a length of eight, a key of four
    CONTROL_BYTES = 125  # of a control frame's payload at most (RFC 6455 5.5)


cdef struct Utf8:
    # A place in UTF-8: how many octets of a character are to come, and what the next may be.
    unsigned char left
    unsigned char low
    unsigned char high


cdef int write_head(char* to, unsigned char first, Py_ssize_t size) noexcept
cdef bint is_utf8(Utf8* place, const char* data, Py_ssize_t size) noexcept


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* Unmask octets (RFC 6455 5.3); whether one of them is not ASCII. Words that compilers make
       wider still. */
    static inline int granian_d_unmask(
        char *restrict to, const char *restrict from, Py_ssize_t size, const unsigned char *key
    ) {
        uint32_t half;
        uint64_t word, wide, seen = 0;
        unsigned char rest = 0;
        Py_ssize_t at = 0;
        memcpy(&half, key, 4);
        wide = (uint64_t)half << 32 | half;
        for (; at + 8 <= size; at += 8) {
            memcpy(&word, from + at, 8);
            word ^= wide;
            memcpy(to + at, &word, 8);
            seen |= word;
        }
        for (; at < size; at++) {
            unsigned char octet = (unsigned char)from[at] ^ key[at & 3];
            to[at] = (char)octet;
            rest |= octet;
        }
        return (seen & UINT64_C(0x8080808080808080)) != 0 || (rest & 0x80) != 0;
    }
    """
    bint unmask "granian_d_unmask"(
        char* to, const char* data, Py_ssize_t size, const unsigned char* key
    ) noexcept nogil
