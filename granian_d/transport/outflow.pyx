"""Writing to a socket that may take a part only, and the queue of what it has not taken.

A queue exists while there is something in it: most connections never have one.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset

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
    int MSG_DONTWAIT, MSG_NOSIGNAL


cdef enum:
    PARTS = 64  # offered in one call


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
    return _send_parts(fd, parts, 2)


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

    cdef Handover hand_over(self, int fd) except *:
        """Offer the first parts to the socket."""
        cdef iovec[PARTS] parts
        cdef bytes part
        cdef Py_ssize_t offset = self._offset
        cdef Py_ssize_t offered = 0
        cdef ssize_t taken
        cdef int count = 0
        for part in self._parts:
            if count == PARTS:
                break
            parts[count].iov_base = PyBytes_AS_STRING(part) + offset
            parts[count].iov_len = PyBytes_GET_SIZE(part) - offset
            offered += PyBytes_GET_SIZE(part) - offset
            offset = 0
            count += 1
        taken = _send_parts(fd, parts, count)
        if taken < 0:
            if errno == EINTR:
                return TAKEN
            return FULL if errno == EAGAIN else BROKEN
        self._drop(taken)
        if self.size == 0:
            return EMPTIED
        return TAKEN if taken == offered else FULL

    cdef int _drop(self, Py_ssize_t count) except -1:
        """The first `count` octets are gone."""
        cdef bytes part
        self.size -= count
        self._offset += count
        while self._parts:
            part = self._parts[0]
            if self._offset < PyBytes_GET_SIZE(part):
                break
            self._offset -= PyBytes_GET_SIZE(part)
            self._parts.popleft()
        return 0


cdef ssize_t _send_parts(int fd, iovec* parts, int count) noexcept:
    cdef msghdr message
    memset(&message, 0, sizeof(msghdr))
    message.msg_iov = parts
    message.msg_iovlen = count
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
