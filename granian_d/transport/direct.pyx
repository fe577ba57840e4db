"""Stream connections on their own sockets: what transport.tcp is, without the loop in between.

The worker's sockets are in an epoll of their own, which the loop watches like any other descriptor:
one turn of the loop takes a batch of events, and each of them is a recv, the engine, and a send,
with no object and no callback of the loop on the way. Whatever the loop is, uvloop or asyncio's,
the path is the same.

Events are edge-triggered, so a connection remembers whether its socket may still have something to
read; it is read until it has not, or until its share of the turn is used up. Answers of one turn
are put together and leave in one send.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.unistd cimport close

from granian_d.engine.contract cimport Clock
from granian_d.engine.native.wire cimport NativeEndpoint, NativeWire, native_endpoint
from granian_d.http.message cimport Peer

import os
from collections import deque

from granian_d.transport import deadlines as ticking
from granian_d.transport import tcp


cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    cdef struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL
    unsigned int EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP, EPOLLET


cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void* buf, size_t size, int flags)
    ssize_t send(int fd, const void* buf, size_t size, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int name, const void* value, unsigned int size)
    int MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR, SOL_SOCKET, SO_LINGER
    cdef struct linger:
        int l_onoff
        int l_linger


cdef extern from "sys/uio.h" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len
    ssize_t writev(int fd, const iovec* parts, int count)


cdef enum:
    EVENTS = 256  # taken a turn
    READ_BYTES = 65536  # one recv: of an upload it wants few, and it stays in the cache
    OUT_BYTES = 65536  # of answers that are put together
    READS = 4  # of one connection a turn: others wait


cdef class Poll:
    """The sockets of a worker, and the buffers that their connections share."""

    cdef int fd
    cdef char* input
    cdef char* output
    cdef object _loop
    cdef list _ashes  # connections that ended in this batch: an event may still point at them
    cdef list _again  # connections that want another look in the next turn
    cdef bint _called

    def __cinit__(self, loop):
        self.fd = epoll_create1(EPOLL_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))
        self.input = <char*>malloc(READ_BYTES)
        self.output = <char*>malloc(OUT_BYTES)
        if self.input == NULL or self.output == NULL:
            raise MemoryError
        self._loop = loop
        self._ashes = []
        self._again = []

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)
        free(self.input)
        free(self.output)

    def open(self):
        """Have the loop watch the sockets."""
        self._loop.add_reader(self.fd, self._turn)

    def _turn(self):
        """Take what has happened since the last turn."""
        cdef epoll_event[EVENTS] events
        cdef int index
        cdef DirectConnection connection
        cdef int count = epoll_wait(self.fd, events, EVENTS, 0)
        for index in range(count):
            connection = <DirectConnection>events[index].data.ptr
            connection.happened(events[index].events)
        if self._ashes:
            self._ashes.clear()

    cdef int watch(self, DirectConnection connection) except -1:
        cdef epoll_event event
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
        event.data.ptr = <void*>connection
        if epoll_ctl(self.fd, EPOLL_CTL_ADD, connection.fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    cdef int bury(self, DirectConnection connection) except -1:
        """A connection's descriptor is closed: keep the object until no event can mean it."""
        self._ashes.append(connection)
        return self.later(connection)

    cdef int later(self, DirectConnection connection) except -1:
        """Look at a connection in the next turn."""
        self._again.append(connection)
        if not self._called:
            self._called = True
            self._loop.call_soon(self._look_again)
        return 0

    def _look_again(self):
        cdef DirectConnection connection
        again, self._again = self._again, []
        self._called = False
        for connection in again:
            connection.look_again()

    def report(self, error):
        """Tell the loop of a fault of our own."""
        self._loop.call_exception_handler(
            {"message": "a connection could not go on", "exception": error}
        )


cdef class DirectConnections:
    """The open connections of a worker; see transport.tcp.Connections."""

    cdef public set open
    cdef public object deadlines
    cdef object _engine
    cdef object _service
    cdef object _limits
    cdef object _changed
    cdef object _drain_idle_s
    cdef Clock _clock
    cdef Poll _poll
    cdef Py_ssize_t high_water
    cdef double write_s
    cdef double linger_s
    cdef double flush_look_s
    cdef double _tick_s

    def __init__(self, engine, service, limits, deadlines, changed, loop):
        self.open = set()
        self.deadlines = deadlines
        self._engine = engine
        self._service = service
        self._limits = limits
        self._changed = changed
        self._clock = deadlines.clock
        self.high_water = tcp.HIGH_WATER_BYTES
        self.write_s = limits.write_timeout_s or INFINITY
        self.linger_s = tcp.LINGER_S
        self.flush_look_s = tcp.FLUSH_LOOK_S
        self._tick_s = ticking.TICK_S
        self._poll = Poll(loop)
        self._poll.open()

    def take(self, sock, loop):
        """Make a connection of an accepted socket."""
        cdef DirectConnection connection = DirectConnection.__new__(DirectConnection)
        try:
            peer = tcp.peer_of_names(sock.getsockname(), sock.getpeername())
        except OSError:  # it has gone already
            sock.close()
            return
        if not self.open:
            self.deadlines.add(self)  # starts the clock that the first deadline is read from
        self.open.add(connection)
        connection.begin(self, sock, peer)
        self._changed(len(self.open))

    @property
    def deadline(self):
        """Every tick is one: `expire` looks at all connections, in C."""
        return 0.0

    def expire(self):
        """See which of the connections have waited for too long."""
        cdef DirectConnection connection
        cdef double passed = self._clock.now - self._tick_s
        cdef list overdue = None
        for connection in self.open:
            if connection.due() <= passed:
                if overdue is None:
                    overdue = []
                overdue.append(connection)
        if overdue is not None:
            for connection in overdue:
                connection.expire()

    def drain(self, idle_s):
        """Drain those that are open, and those still to come out of the accept queue."""
        cdef DirectConnection connection
        self._drain_idle_s = idle_s
        for connection in list(self.open):
            connection.drain(idle_s)

    cdef int discard(self, DirectConnection connection) except -1:
        self.open.discard(connection)
        if not self.open:
            self.deadlines.discard(self)
        self._changed(len(self.open))
        return 0


cdef class DirectConnection(NativeWire):
    """One socket, and the Wire of its endpoint."""

    cdef int fd
    cdef DirectConnections _owner
    cdef Poll _poll
    cdef NativeEndpoint _endpoint
    cdef object _queue  # of bytes that the socket did not take
    cdef Py_ssize_t _offset  # into the first of them
    cdef Py_ssize_t _queued
    cdef Py_ssize_t _output  # octets of this connection in the poll's output, while it is fed
    cdef bint _feeding
    cdef bint _readable
    cdef bint _hung_up
    cdef bint _paused
    cdef bint _full
    cdef bint _eof
    cdef bint _finishing
    cdef bint _closed
    cdef bint _waits  # for another look
    cdef bint _lost
    cdef bint _half_closed
    cdef double _deadline  # when the lingering close is looked at next
    cdef double _patience_until
    cdef Py_ssize_t _unsent

    cdef int begin(self, DirectConnections owner, sock, Peer peer) except -1:
        self._owner = owner
        self._poll = owner._poll
        self._deadline = self._patience_until = INFINITY
        self.fd = sock.detach()
        self._endpoint = native_endpoint(
            owner._engine(self, peer, owner._service, owner._limits, owner.deadlines.clock)
        )
        if owner._drain_idle_s is not None:
            self._endpoint.drain(owner._drain_idle_s)
        self._poll.watch(self)
        return 0

    # --- called by the poll --------------------------------------------------------------------

    cdef int happened(self, unsigned int events) except -1:
        """Events of the socket. A fault of our own costs this connection and no other."""
        if self._closed:
            return 0
        try:
            if events & EPOLLOUT and self._queued:
                self._flush()
            if events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                self._hung_up = True
            if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) and not self._closed:
                self._readable = True
                self._read()
        except BaseException as error:  # the border to the loop
            self._poll.report(error)
            self.abort()
        return 0

    cdef int look_again(self) except -1:
        """Another turn: go on reading, or learn that the connection is lost."""
        self._waits = False
        try:
            if self._closed:
                if not self._lost:
                    self._lost = True
                    self._owner.discard(self)
                    self._endpoint.feed_lost()
            elif self._readable:
                self._read()
        except BaseException as error:  # the border to the loop
            self._poll.report(error)
            if not self._closed:
                self.abort()
        return 0

    cdef int _read(self) except -1:
        cdef ssize_t count
        cdef int reads
        for reads in range(READS):
            if self._paused or self._closed:
                return 0
            count = recv(self.fd, self._poll.input, READ_BYTES, MSG_DONTWAIT)
            if count > 0:
                if not self._finishing:
                    self._feed(count)
                if count < READ_BYTES and not self._hung_up:
                    self._readable = False
                    return 0
            elif count == 0:
                self._readable = False
                return self._end()
            elif errno == EAGAIN:
                self._readable = False
                return 0
            elif errno != EINTR:
                return self._close()
        return self._look_later()

    cdef int _feed(self, Py_ssize_t count) except -1:
        """Have the engine read; what it writes meanwhile leaves in one send."""
        self._feeding = True
        try:
            self._endpoint.feed(self._poll.input, count)
        finally:
            self._feeding = False
            if self._output:
                self._send_output()
        if self._finishing and not self._queued:
            self._half_close()
        return 0

    cdef int _end(self) except -1:
        """The peer has closed its direction. Ours stays open until the last answer."""
        if self._eof:
            return 0
        self._eof = True
        if self._finishing:
            if not self._queued:
                self._close()
        else:
            self._endpoint.feed_eof()
        return 0

    # --- called by the endpoint (engine.native.wire) -------------------------------------------

    cdef bint put(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Queue octets; False above the high-water mark, and when the connection is broken."""
        if self._closed:
            return False
        cdef Py_ssize_t more = 0 if body is None else PyBytes_GET_SIZE(body)
        if self._feeding and not self._queued and self._output + size + more <= OUT_BYTES:
            memcpy(self._poll.output + self._output, data, size)
            if more:
                memcpy(self._poll.output + self._output + size, PyBytes_AS_STRING(body), more)
            self._output += size + more
            return True
        if self._output:
            self._send_output()
        self._send(data, size, body)
        if self._queued > self._owner.high_water:
            self._full = True
        return not (self._full or self._closed)

    cpdef int pause(self) except -1:
        self._paused = True
        return 0

    cpdef int resume(self) except -1:
        if self._paused:
            self._paused = False
            if self._readable:
                self._look_later()
        return 0

    cpdef Py_ssize_t queued(self) except -1:
        return self._queued + self._output

    cpdef int finish(self) except -1:
        """Write out the queue, half-close, linger, close."""
        if self._finishing or self._closed:
            return 0
        self._finishing = True
        self._unsent = self._queued
        self._patience_until = self._owner._clock.now + self._patience_s()
        self._deadline = self._owner._clock.now + self._owner.flush_look_s
        self._paused = False
        if not self._queued and not self._feeding:
            self._half_close()
        return 0

    cpdef int abort(self) except -1:
        """Close at once, with a RST: an answer delimited by the close must not look whole."""
        cdef linger none
        if self._closed:
            return 0
        self._finishing = True
        self._output = 0
        none.l_onoff, none.l_linger = 1, 0
        setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(linger))
        return self._close()

    # --- writing -------------------------------------------------------------------------------

    cdef int _send_output(self) except -1:
        cdef Py_ssize_t size = self._output
        self._output = 0
        if not self._closed:
            self._send(self._poll.output, size, None)
        return 0

    cdef int _send(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Hand octets to the socket; queue what it does not take."""
        cdef ssize_t count = 0
        cdef iovec[2] parts
        cdef Py_ssize_t more = 0 if body is None else PyBytes_GET_SIZE(body)
        if not self._queued:
            if not more:
                count = send(self.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
            elif not size:
                count = send(self.fd, PyBytes_AS_STRING(body), more, MSG_DONTWAIT | MSG_NOSIGNAL)
            else:
                parts[0].iov_base = <void*>data
                parts[0].iov_len = size
                parts[1].iov_base = <void*>PyBytes_AS_STRING(body)
                parts[1].iov_len = more
                count = writev(self.fd, parts, 2)
            if count == size + more:
                return 0
            if count < 0:
                if errno != EAGAIN and errno != EINTR:
                    return self._close()
                count = 0
        if self._queue is None:
            self._queue = deque()
        if count < size:
            self._queue.append(PyBytes_FromStringAndSize(data + count, size - count))
            self._queued += size - count
            count = size
        if more:
            if not self._queued:
                self._offset = count - size
            self._queue.append(body)
            self._queued += more - (count - size)
        return 0

    cdef int _flush(self) except -1:
        """The socket has room: hand it the queue."""
        cdef ssize_t count
        cdef bytes part
        while self._queue:
            part = self._queue[0]
            count = send(
                self.fd,
                PyBytes_AS_STRING(part) + self._offset,
                PyBytes_GET_SIZE(part) - self._offset,
                MSG_DONTWAIT | MSG_NOSIGNAL,
            )
            if count < 0:
                if errno == EINTR:
                    continue
                if errno != EAGAIN:
                    self._close()
                return 0
            self._queued -= count
            self._offset += count
            if self._offset == PyBytes_GET_SIZE(part):
                self._queue.popleft()
                self._offset = 0
            if self._full and self._queued <= self._owner.high_water // 4:
                self._full = False
                if not self._finishing:
                    self._endpoint.feed_room()
                if self._closed:
                    return 0
        if self._finishing:
            self._half_close()
        return 0

    # --- the end -------------------------------------------------------------------------------

    cdef int _half_close(self) except -1:
        """All is written: tell the peer so, and wait for it to close, too (RFC 9112 9.6)."""
        if self._closed or self._half_closed:
            return 0
        self._half_closed = True
        if self._eof:
            return self._close()
        self._unsent = 0
        self._patience_until = self._owner._clock.now + self._owner.linger_s
        shutdown(self.fd, SHUT_WR)
        if self._readable:
            self._look_later()
        return 0

    cdef int _close(self) except -1:
        """Close the socket; the endpoint hears of it in the next turn."""
        if not self._closed:
            self._closed = True
            close(self.fd)
            self.fd = -1
            self._queue = None
            self._queued = self._output = 0
            self._waits = True
            self._poll.bury(self)
        return 0

    cdef int _look_later(self) except -1:
        if not self._waits:
            self._waits = True
            self._poll.later(self)
        return 0

    # --- called by the worker and its timer ----------------------------------------------------

    cdef double due(self) except? -1:
        """The endpoint's deadline, or that of the lingering close once it has begun."""
        return self._deadline if self._finishing else self._endpoint.due()

    cdef int expire(self) except -1:
        """The deadline has passed."""
        cdef double now = self._owner._clock.now
        if self._closed:
            return 0
        try:
            if not self._finishing:
                self._endpoint.expire()
                return 0
            if self._queued != self._unsent:
                self._unsent = self._queued
                self._patience_until = now + self._patience_s()
            if now >= self._patience_until:
                self.abort()
            else:
                self._deadline = now + self._owner.flush_look_s
        except BaseException as error:  # the border to the timer
            self._poll.report(error)
            self.abort()
        return 0

    cdef int drain(self, double idle_s) except -1:
        if not self._finishing and not self._closed:
            self._endpoint.drain(idle_s)
        return 0

    cdef double _patience_s(self) noexcept:
        """How long a finished connection may stand still: as a reader, then to linger."""
        return self._owner.write_s if self._unsent else self._owner.linger_s
