"""The Huffman code of HPACK (RFC 7541 5.2 and appendix B).

The code is canonical: octets are numbered by the length of their code and then by their own value.
So the lengths are all that stands here; codes and the table of the decoder are made of them.

The decoder goes four bits a step. Every code has five at least, so a step ends one symbol at most.
"""

from libc.string cimport memset

cdef enum:
    SYMBOLS = 257
    END = 256  # EOS: a string that has it is broken (RFC 7541 5.2)
    NODES = 256  # inner nodes of a binary tree with 257 leaves
    EMITS = 1  # of Step.what: a symbol has ended
    FAILS = 2
    MAY_END = 4  # what was read since the last symbol is padding: ones, seven bits at most


cdef struct Step:
    unsigned char node
    unsigned char symbol
    unsigned char what


# The length of each symbol's code in bits, as a digit of base 32; the last one is that of EOS.
cdef bytes LENGTHS = (
    b"dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca"
    b"d67777777777777777777777878djde6f56565666577666567655677777fbeds"
    b"kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn"
    b"qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq"
    b"u"
)

cdef unsigned int[SYMBOLS] _codes
cdef unsigned char[SYMBOLS] _lengths
cdef Step[NODES][16] _steps


cdef Py_ssize_t decoded(const unsigned char* data, Py_ssize_t size, unsigned char* to) noexcept nogil:
    """Decode a string; how many octets it has, -1 when it is broken.

    `to` has room for 8 octets for 5 of `data`, and one more.
    """
    cdef unsigned char* start = to
    cdef const unsigned char* end = data + size
    cdef unsigned char node = 0
    cdef unsigned char bad = 0
    cdef unsigned char what = MAY_END
    cdef const Step* step
    while data < end:
        step = &_steps[node][data[0] >> 4]
        to[0] = step.symbol
        to += step.what & EMITS
        bad |= step.what
        step = &_steps[step.node][data[0] & 15]
        to[0] = step.symbol
        to += step.what & EMITS
        what = step.what
        bad |= what
        node = step.node
        data += 1
    if bad & FAILS or not what & MAY_END:
        return -1
    return to - start


cdef Py_ssize_t encoded_size(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    """How many octets `encode` will write."""
    cdef Py_ssize_t bits = 7
    cdef Py_ssize_t index
    for index in range(size):
        bits += _lengths[data[index]]
    return bits >> 3


cdef unsigned char* encode(const unsigned char* data, Py_ssize_t size, unsigned char* to) noexcept nogil:
    """Encode a string, padded with ones; returns where it ends."""
    cdef unsigned long long held = 0
    cdef int count = 0  # bits that are held
    cdef Py_ssize_t index
    for index in range(size):
        held = (held << _lengths[data[index]]) | _codes[data[index]]
        count += _lengths[data[index]]
        while count >= 8:
            count -= 8
            to[0] = <unsigned char>(held >> count)
            to += 1
    if count:
        to[0] = <unsigned char>((held << (8 - count)) | (0xFF >> count))
        to += 1
    return to


cdef _fill():
    """Make the codes, their tree, and the steps through it."""
    cdef int[NODES][2] tree  # a node, or SYMBOLS + symbol
    cdef unsigned char[NODES] padding  # whether the bits up to a node are ones, seven at most
    cdef unsigned int code = 0
    cdef int symbol, bit, node, nodes = 1, length = 0
    memset(tree, 0, sizeof(tree))
    for symbol in range(SYMBOLS):
        _lengths[symbol] = <unsigned char>int(LENGTHS[symbol : symbol + 1], 32)
    for symbol in sorted(range(SYMBOLS), key=_order):
        code <<= _lengths[symbol] - length
        length = _lengths[symbol]
        _codes[symbol] = code
        node = 0
        for bit in range(length - 1, 0, -1):
            if tree[node][(code >> bit) & 1] == 0:
                tree[node][(code >> bit) & 1] = nodes
                nodes += 1
            node = tree[node][(code >> bit) & 1]
        tree[node][code & 1] = SYMBOLS + symbol
        code += 1
    assert nodes == NODES
    memset(padding, 0, sizeof(padding))
    node = 0
    for bit in range(8):
        padding[node] = MAY_END
        node = tree[node][1]
    for node in range(NODES):
        for bit in range(16):
            _walk(tree, padding, node, bit)


def _order(int symbol):
    return _lengths[symbol], symbol


cdef _walk(int[NODES][2] tree, unsigned char* padding, int start, int four):
    cdef Step* step = &_steps[start][four]
    cdef int node = start
    cdef int bit
    step.what = step.symbol = 0
    for bit in range(3, -1, -1):
        node = tree[node][(four >> bit) & 1]
        if node >= SYMBOLS:
            if node - SYMBOLS == END:
                step.what = FAILS
                step.node = 0
                return
            step.symbol = <unsigned char>(node - SYMBOLS)
            step.what |= EMITS
            node = 0
    step.node = <unsigned char>node
    step.what |= padding[node]


_fill()
