"""Writing to a socket that may take a part only, and the queue of what it has not taken.

A queue exists while there is something in it: most connections never have one.

A part of a file is in the queue like any other, and leaves by sendfile(2) when it is the first. A
disk may be slow, so the threads of the application go on meanwhile.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset
from posix.types cimport off_t

from granian_d.engine.native.wire cimport FileSpan

from collections import deque


cdef extern from "sys/uio.h" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len


cdef extern from "sys/socket.h" nogil:
    cdef struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t send(int fd, const void* data, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL


cdef extern from "sys/sendfile.h" nogil:
    ssize_t sendfile(int out_fd, int in_fd, off_t* offset, size_t count)


cdef extern from "unistd.h" nogil:
    ssize_t pread(int fd, void* buf, size_t count, off_t offset)


cdef enum:
    PARTS = 64  # offered in one call
    FILE_BYTES = 262144  # of a file, in one call
    READ_BYTES = 131072  # of a file that is read: they are in memory until the socket takes them


cdef ssize_t offer(int fd, const char* data, Py_ssize_t size, bytes body) noexcept:
    """Offer `size` octets and then `body` (None: nothing) to a socket, as send(2) does it."""
    cdef iovec[2] parts
    if body is None:
        return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
    if size == 0:
        return send(
            fd, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), MSG_DONTWAIT | MSG_NOSIGNAL
        )
    parts[0].iov_base = <void*>data
    parts[0].iov_len = size
    parts[1].iov_base = <void*>PyBytes_AS_STRING(body)
    parts[1].iov_len = PyBytes_GET_SIZE(body)
    return _send_parts(fd, parts, 2, 0)


cdef class Outflow:
    """What a socket has not taken, in order."""

    def __cinit__(self):
        self._parts = deque()

    cdef int keep(self, const char* data, Py_ssize_t size, bytes body, Py_ssize_t taken) except -1:
        """Put what `offer` was given behind the rest; of the first in line `taken` are gone."""
        if taken < size:
            self._parts.append(PyBytes_FromStringAndSize(data + taken, size - taken))
            self.size += size - taken
            taken = size
        if body is not None and PyBytes_GET_SIZE(body):
            if taken > size:
                self._offset = taken - size
            self._parts.append(body)
            self.size += PyBytes_GET_SIZE(body) - (taken - size)
        return 0

    cdef int keep_file(self, FileSpan file) except -1:
        """Put what is left of a part of a file (at least an octet) behind the rest."""
        self._parts.append(file)
        self.size += file.left
        self.files += 1
        return 0

    cdef Handover hand_over(self, int fd) except *:
        """Offer the first parts to the socket: octets up to a file, or some of a file."""
        cdef iovec[PARTS] parts
        cdef Py_ssize_t offset = self._offset
        cdef Py_ssize_t offered = 0
        cdef ssize_t taken
        cdef int count = 0
        cdef int flags = 0
        for part in self._parts:
            if count == PARTS:
                break
            if type(part) is FileSpan:
                if count == 0:
                    return self._hand_over_file(fd, part)
                flags = MSG_MORE  # they share a packet with the beginning of the file
                break
            parts[count].iov_base = PyBytes_AS_STRING(part) + offset
            parts[count].iov_len = PyBytes_GET_SIZE(part) - offset
            offered += PyBytes_GET_SIZE(part) - offset
            offset = 0
            count += 1
        taken = _send_parts(fd, parts, count, flags)
        if taken < 0:
            if errno == EINTR:
                return TAKEN
            return FULL if errno == EAGAIN else BROKEN
        self._drop(taken)
        if self.size == 0:
            return EMPTIED
        return TAKEN if taken == offered else FULL

    cdef int _drop(self, Py_ssize_t count) except -1:
        """The first `count` octets are gone, and none of them was a file's."""
        self.size -= count
        self._offset += count
        while self._parts:
            part = self._parts[0]
            if type(part) is FileSpan or self._offset < PyBytes_GET_SIZE(part):
                break
            self._offset -= PyBytes_GET_SIZE(part)
            self._parts.popleft()
        return 0

    cdef Handover _hand_over_file(self, int fd, FileSpan file) except *:
        """Have the kernel send some of the file that is the first in line.

        sendfile(2) knows no MSG_DONTWAIT: the socket has to be non-blocking.
        """
        cdef off_t offset = file.offset
        cdef size_t count = min(file.left, FILE_BYTES)
        cdef ssize_t taken
        if file.copied:
            return self._read_on(file)
        with nogil:
            taken = sendfile(fd, file.fd, &offset, count)
        if taken == 0:
            return BROKEN  # the file ends here
        if taken < 0:
            if errno == EAGAIN:
                return FULL
            # Not a file that sendfile(2) can do, or a fault. Reading tells which, and whose.
            file.copied = errno != EINTR
            return TAKEN
        self.size -= taken
        self._advance(file, taken)
        # A part may mean that the socket is full or that the file ends: the next call tells.
        return TAKEN if self.size else EMPTIED

    cdef Handover _read_on(self, FileSpan file) except *:
        """Put some of the file that is the first in line before it, as octets."""
        cdef bytes part = PyBytes_FromStringAndSize(NULL, min(file.left, READ_BYTES))
        cdef char* to = PyBytes_AS_STRING(part)
        cdef size_t count = PyBytes_GET_SIZE(part)
        cdef ssize_t taken
        with nogil:
            taken = pread(file.fd, to, count, file.offset)
        if taken < 0:
            if errno == EINTR:
                return TAKEN
            file.error = errno
            return BROKEN
        if taken == 0:
            return BROKEN
        self._advance(file, taken)
        self._parts.appendleft(part if taken == <ssize_t>count else part[:taken])
        return TAKEN

    cdef int _advance(self, FileSpan file, Py_ssize_t count) except -1:
        """So many octets of the file that is the first in line are on their way."""
        file.offset += count
        file.left -= count
        if file.left == 0:
            self._parts.popleft()
            self.files -= 1
        return 0


cdef ssize_t _send_parts(int fd, iovec* parts, int count, int flags) noexcept:
    cdef msghdr message
    memset(&message, 0, sizeof(msghdr))
    message.msg_iov = parts
    message.msg_iovlen = count
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags)
