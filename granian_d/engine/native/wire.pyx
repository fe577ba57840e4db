"""The two halves of a connection as C sees them; `engine.contract` says what each call means."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from posix.stat cimport S_ISREG, fstat, struct_stat


cdef class FileSpan:
    """A part of a file on its way to the peer; the wire that has it counts down what is left.

    Args:
        fd: of the file. Its owner may close it when nothing is left, when the wire was aborted,
            and when the connection is lost.
        offset: where the part begins.
        left: its octets.
    """

    def __init__(self, int fd, long long offset, long long left):
        self.fd = fd
        self.offset = offset
        self.left = left

    cdef bint is_there(self) noexcept:
        """A regular file that is long enough, as far as can be seen now."""
        cdef struct_stat facts
        return (
            fstat(self.fd, &facts) == 0
            and S_ISREG(facts.st_mode)
            and 0 <= self.offset <= facts.st_size - self.left
        )


cdef class NativeWire:
    """A transport that the native engine calls without Python in between.

    Attributes:
        takes_files: it has `put_file`; of others the engine asks `put` alone.
    """

    cdef bint put(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Queue `size` octets and then `body` (None: nothing); False to wait for `feed_room`."""
        raise NotImplementedError

    cdef bint put_later(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """As `put`, for who may put more in this turn of the loop: all of it leaves together."""
        return self.put(data, size, body)

    cdef bint put_file(self, bytes head, FileSpan file) except -1:
        """Queue `head` and then a part of a file; False to wait for `feed_room`.

        While some of the file is left there is no room. Where it cannot be read, or is shorter than
        said, the connection is aborted: the peer must not take the answer for complete.
        """
        raise NotImplementedError

    cpdef int pause(self) except -1:
        raise NotImplementedError

    cpdef int resume(self) except -1:
        raise NotImplementedError

    cpdef Py_ssize_t queued(self) except -1:
        raise NotImplementedError

    cpdef int switch(self, endpoint) except -1:
        raise NotImplementedError

    cpdef int finish(self) except -1:
        raise NotImplementedError

    cpdef int abort(self) except -1:
        raise NotImplementedError


    # The same as engine.contract.Wire has it, for an engine of Python.

    def write(self, bytes data):
        """Queue octets; False to wait for `feed_room`."""
        return self.put(NULL, 0, data)

    def write_file(self, bytes head not None, FileSpan file not None):
        """Queue octets and then a part of a file; False to wait for `feed_room`."""
        return self.put_file(head, file)

    def queued_bytes(self):
        """Octets that the peer has not taken yet."""
        return self.queued()


cdef class NativeEndpoint:
    """An engine that a native transport feeds without Python in between."""

    def feed_data(self, bytes data not None):
        """Octets have arrived, from a transport or an endpoint of Python."""
        self.feed(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef int feed(self, const char* data, Py_ssize_t size) except -1:
        """Octets have arrived; they are valid during the call only."""
        raise NotImplementedError

    cdef double due(self) except? -1:
        """When `expire` wants to be called."""
        return self.deadline

    cpdef feed_eof(self):
        raise NotImplementedError

    cpdef feed_lost(self):
        raise NotImplementedError

    cpdef feed_room(self):
        raise NotImplementedError

    cpdef expire(self):
        raise NotImplementedError

    cpdef drain(self, leave):
        raise NotImplementedError

    cpdef under_way(self, list found):
        raise NotImplementedError

    cpdef reset(self, exchange):
        raise NotImplementedError


cdef class PythonWire(NativeWire):
    """A Wire of Python: the transports of an event loop."""

    cdef object _wire

    def __init__(self, wire):
        self._wire = wire

    cdef bint put(self, const char* data, Py_ssize_t size, bytes body) except -1:
        cdef bytes head = PyBytes_FromStringAndSize(data, size)
        if body is None:
            return self._wire.write(head)
        if size == 0:
            return self._wire.write(body)
        if size + len(body) <= 65536:  # joined: a larger body is not worth the copy
            return self._wire.write(head + body)
        self._wire.write(head)
        return self._wire.write(body)

    cpdef int pause(self) except -1:
        self._wire.pause()
        return 0

    cpdef int resume(self) except -1:
        self._wire.resume()
        return 0

    cpdef Py_ssize_t queued(self) except -1:
        return self._wire.queued_bytes()

    cpdef int switch(self, endpoint) except -1:
        self._wire.switch(endpoint)
        return 0

    cpdef int finish(self) except -1:
        self._wire.finish()
        return 0

    cpdef int abort(self) except -1:
        self._wire.abort()
        return 0


cdef NativeWire native_wire(wire):
    """`wire` itself if it is native, else behind a PythonWire."""
    return wire if isinstance(wire, NativeWire) else PythonWire(wire)


cdef class PythonEndpoint(NativeEndpoint):
    """An Endpoint of Python behind a native transport."""

    cdef object _endpoint

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self.deadline = endpoint.deadline

    cdef int feed(self, const char* data, Py_ssize_t size) except -1:
        self._endpoint.feed_data(PyBytes_FromStringAndSize(data, size))
        return 0

    cpdef feed_eof(self):
        self._endpoint.feed_eof()

    cpdef feed_lost(self):
        self._endpoint.feed_lost()

    cpdef feed_room(self):
        self._endpoint.feed_room()

    cpdef expire(self):
        self._endpoint.expire()

    cpdef drain(self, leave):
        self._endpoint.drain(leave)

    cpdef under_way(self, list found):
        self._endpoint.under_way(found)

    cpdef reset(self, exchange):
        self._endpoint.reset(exchange)

    cdef double due(self) except? -1:
        return self._endpoint.deadline


cdef NativeEndpoint native_endpoint(endpoint):
    """`endpoint` itself if it is native, else behind a PythonEndpoint."""
    return endpoint if isinstance(endpoint, NativeEndpoint) else PythonEndpoint(endpoint)
