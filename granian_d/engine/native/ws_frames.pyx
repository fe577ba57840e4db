"""Octets of WebSocket frames: heads, masks, and whether text is UTF-8."""


cdef int write_head(char* to, unsigned char first, Py_ssize_t size) noexcept:
    """Write the head of a frame of ours (RFC 6455 5.2), without a mask; how many octets it has."""
    cdef int shift
    to[0] = <char>first
    if size <= 125:
        to[1] = <char>size
        return 2
    if size <= 65535:
        to[1] = 126
        to[2] = <char>(size >> 8)
        to[3] = <char>(size & 255)
        return 4
    to[1] = 127
    for shift in range(8):
        to[2 + shift] = <char>((<unsigned long long>size >> (56 - 8 * shift)) & 255)
    return 10


cdef bint is_utf8(Utf8* place, const char* data, Py_ssize_t size) noexcept:
    """Whether the octets go on as UTF-8 from `place` (RFC 3629 4), which is moved behind them."""
    cdef const unsigned char* at = <const unsigned char*>data
    cdef const unsigned char* end = at + size
    cdef unsigned char octet
    while at < end:
        octet = at[0]
        at += 1
        if place.left:
            if not place.low <= octet <= place.high:
                return False
            place.left -= 1
            place.low, place.high = 0x80, 0xBF
        elif octet >= 0x80:
            # The octet behind the first one: not of a form that is too long (E0, F0), a surrogate
            # (ED), or beyond the last character (F4).
            place.low = 0xA0 if octet == 0xE0 else 0x90 if octet == 0xF0 else 0x80
            place.high = 0x9F if octet == 0xED else 0x8F if octet == 0xF4 else 0xBF
            if octet < 0xC2 or octet > 0xF4:
                return False
            place.left = 1 if octet < 0xE0 else 2 if octet < 0xF0 else 3
    return True
