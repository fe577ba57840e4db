# What an octet may be (tables), and scans over many of them.

# Of TOKEN: the octet in lower case when it is a tchar (RFC 9110 5.6.2), else 0.
cdef unsigned char[256] TOKEN
# Of CLASS: where else the octet may stand.
cdef unsigned char[256] CLASS

cdef enum:
    IN_PATH = 1  # http.semantics: pchar, "/" and what browsers leave raw; not "%"
    IN_QUERY = 2  # the same, "%" and "?" and a few more
    IN_HOST = 4  # reg-name without "%"
    IS_HEX = 8
    IS_DIGIT = 16

cdef bytes lower_name(const char* name, Py_ssize_t size)


cdef extern from *:
    """
    /* RFC 9110 5.5: VCHAR, obs-text, SP, HTAB. A loop that compilers make wide. */
    static inline int granian_d_is_value(const char *at, Py_ssize_t size) {
        unsigned char bad = 0;
        for (Py_ssize_t i = 0; i < size; i++) {
            unsigned char octet = (unsigned char)at[i];
            bad |= ((octet < 0x20) & (octet != 0x09)) | (octet == 0x7f);
        }
        return !bad;
    }
    """
    bint is_value "granian_d_is_value"(const char* at, Py_ssize_t size) nogil
