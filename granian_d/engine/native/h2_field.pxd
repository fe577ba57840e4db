# What a decoded field is.

cdef enum:
    PLAIN = 0  # it says nothing to us
    METHOD = 1
    SCHEME = 2
    PATH = 3
    AUTHORITY = 4
    COOKIE = 5
    LENGTH = 6
    PRIORITY = 7
    HOST = 8
    UNSURE = 9  # the reference must see it


cdef unsigned char kind_of(bytes name, bytes value) noexcept
