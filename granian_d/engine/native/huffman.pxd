# The Huffman code of HPACK (RFC 7541 5.2 and appendix B).

cdef Py_ssize_t decoded(const unsigned char* data, Py_ssize_t size, unsigned char* to) noexcept nogil
cdef Py_ssize_t encoded_size(const unsigned char* data, Py_ssize_t size) noexcept nogil
cdef unsigned char* encode(const unsigned char* data, Py_ssize_t size, unsigned char* to) noexcept nogil
