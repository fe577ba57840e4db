"""One connection on its own socket: what transport.tcp.StreamConnection is, in C.

Each event of the socket is a recv, the engine, and a send, with no object and no callback of the
loop on the way. Answers that are given while the engine is fed are put together and leave in one
send, soon after: `poll` sends those of several connections one after the other.

The socket is read until it has nothing more, or until its share of the turn is used up; the same for
writing. So nobody, neither a peer that sends without end nor an answer whose peer reads as fast as
it is made, keeps the others waiting.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.math cimport INFINITY
from libc.string cimport memcpy

from granian_d.engine.native.wire cimport FileSpan, NativeEndpoint, native_endpoint
from granian_d.transport.outflow cimport BROKEN, FULL, TAKEN, Handover, Outflow, offer
from granian_d.transport.poll cimport (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    INPUT_BYTES,
    OUTPUT_BYTES,
    PolledWire,
)


cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void* buf, size_t size, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int name, const void* value, unsigned int size)
    int MSG_DONTWAIT, SHUT_WR, SOL_SOCKET, SO_LINGER
    cdef struct linger:
        int l_onoff
        int l_linger

cdef extern from "sys/ioctl.h" nogil:
    int ioctl(int fd, unsigned long request, ...)

cdef extern from "linux/sockios.h" nogil:
    unsigned long SIOCOUTQNSD


cdef enum:
    SHARE = 4  # calls of recv, or of sendmsg and sendfile, for one connection a turn: others wait


cdef class Owner:
    """What the connections of a worker share, as they see it."""

    cdef int lost(self, DirectConnection connection) except -1:
        """A connection is no more."""
        raise NotImplementedError


cdef class DirectConnection(PolledWire):
    """One socket, and the Wire of its endpoint."""

    def __cinit__(self):
        self.takes_files = True

    # --- called by the poll --------------------------------------------------------------------

    cdef int happened(self, unsigned int events) except -1:
        if self.fd < 0:
            return 0
        if events & EPOLLOUT and self._outflow is not None:
            self._flush()
        if events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            self._hung_up = True
            if events & EPOLLHUP and not self._half_closed:
                self._gone = True
        if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            self._readable = True
            self._read()
        if events & EPOLLOUT and self._outflow is None and self._awaits_room and self.fd >= 0:
            self._awaits_room = False
            self.poll.watch_room(self, False)
        return 0

    cdef int look_again(self) except -1:
        if self.fd < 0:
            return self._lose()
        self._tell_room()
        if self._flushes_on:
            self._flush()
        if self._readable:
            self._read()
        return 0

    cdef int fail(self, error) except -1:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise error
        self.poll.report(error)
        return self.abort()

    cdef int _read(self) except -1:
        """Feed what the socket has; an end is fed only when everything before it was."""
        cdef ssize_t count
        cdef int calls
        for calls in range(SHARE):
            if self._paused or self.fd < 0:
                return 0
            count = recv(self.fd, self.poll.input, INPUT_BYTES, MSG_DONTWAIT)
            if count > 0:
                if not self._finishing:
                    self._feed(count)
                if count < INPUT_BYTES and not self._hung_up:
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
        return self.poll.later(self)

    cdef int _feed(self, Py_ssize_t count) except -1:
        """Have the engine read; what it writes meanwhile leaves in one send."""
        if self._output:  # of the feed before, in the same turn
            self._send_output()
        # Held, here and below: it may give its place to another one (`switch`) while it works.
        cdef NativeEndpoint endpoint = self.endpoint
        self._burst = 0
        self._output_at = self.poll.output_size
        self._feeding = True
        try:
            endpoint.feed(self.poll.input, count)
        finally:
            self._feeding = False
            self.poll.fed(self, self._output)
        if self._finishing and self._outflow is None:
            if self._output:
                self._send_output()
            if self._outflow is None:
                self._half_close()
        return 0

    cdef int send_output(self) except -1:
        if self._output:
            self._send_output()
        return 0

    cdef int _end(self) except -1:
        """The peer has closed its direction. Ours stays open until the last answer."""
        cdef NativeEndpoint endpoint = self.endpoint
        if not self._eof:
            self._eof = True
            if not self._finishing:
                endpoint.feed_eof()
        if self._gone or (self._finishing and self._outflow is None):
            self._close()
        return 0

    # --- called by the endpoint (engine.native.wire) -------------------------------------------

    cdef bint put(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Queue octets; False above the high-water mark, and when the connection is broken.

        Also False, for a turn, after as many octets as the mark have gone out without a pause.
        """
        cdef Py_ssize_t more = 0 if body is None else PyBytes_GET_SIZE(body)
        cdef Py_ssize_t at = self._output_at + self._output
        if self.fd < 0:
            return False
        if self._feeding and self._outflow is None and at + size + more <= OUTPUT_BYTES:
            if size:
                memcpy(self.poll.output + at, data, size)
            if more:
                memcpy(self.poll.output + at + size, PyBytes_AS_STRING(body), more)
            self._output += size + more
            return not self._full
        if self._output:
            self._send_output()
        self._send(data, size, body)
        if self.queued() > self.owner.high_water:
            self._full = True
        elif self._burst > self.owner.high_water and self.fd >= 0:
            self._full = True
            self.poll.later(self)
        return not self._full and self.fd >= 0

    cdef bint put_later(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Queue octets until the next turn of the loop, when they leave in one call."""
        if self._feeding or self.fd < 0:
            return self.put(data, size, body)
        if self._output:
            self._send_output()
        if self._outflow is None:
            self._outflow = Outflow.__new__(Outflow)
            self._flushes_on = True
            self.poll.later(self)
        self._outflow.keep(data, size, body, 0)
        if self.queued() > self.owner.high_water:
            self._full = True
        return not self._full

    cdef bint put_file(self, bytes head, FileSpan file) except -1:
        """Queue octets and then a part of a file, and hand over what the socket takes of it."""
        cdef bint first = self._outflow is None
        cdef Py_ssize_t queued = self._output + PyBytes_GET_SIZE(head) + file.left
        if self.fd < 0:
            return False
        if first:
            self._outflow = Outflow.__new__(Outflow)
            self._outflow.keep(self.poll.output + self._output_at, self._output, None, 0)
            self._output = 0
        self._outflow.keep(NULL, 0, head, 0)
        self._outflow.keep_file(file)
        if first:
            self._hand_over()
            self._burst += queued - self.queued()
        self._full = self._full or self._outflow is not None
        if not self._full and self._burst > self.owner.high_water:
            self._full = True
            self.poll.later(self)
        return not self._full and self.fd >= 0

    cpdef int pause(self) except -1:
        self._paused = not self._finishing
        return 0

    cpdef int resume(self) except -1:
        if self._paused:
            self._paused = False
            if self._readable and self.fd >= 0:
                self.poll.later(self)
        return 0

    cpdef Py_ssize_t queued(self) except -1:
        return self._output + (0 if self._outflow is None else self._outflow.size)

    cpdef int switch(self, endpoint) except -1:
        """Feed another endpoint from now on."""
        if self.endpoint is not None:  # not lost yet
            self.endpoint = native_endpoint(endpoint)
        return 0

    cpdef int finish(self) except -1:
        """Write out the queue, half-close, linger, close."""
        if self._finishing or self.fd < 0:
            return 0
        self._finishing = True
        self._wait_for_peer(self._unsent_octets())
        self._paused = False
        if self._feeding:
            return 0  # the feed goes on reading, and closes behind what is written in it
        if self._readable:
            self.poll.later(self)  # what still comes must be read to be dropped
        if self._outflow is None:
            self._half_close()
        return 0

    cpdef int abort(self) except -1:
        """Close at once, with a RST: an answer delimited by the close must not look whole."""
        cdef linger none
        if self.fd < 0:
            return 0
        if self._output and not self._feeding:  # whole answers, which were on their way
            self._send_output()
            if self.fd < 0:
                return 0
        none.l_onoff, none.l_linger = 1, 0
        setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(linger))
        return self._close()

    # --- writing -------------------------------------------------------------------------------

    cdef int _send_output(self) except -1:
        cdef Py_ssize_t size = self._output
        self._output = 0
        return self._send(self.poll.output + self._output_at, size, None)

    cdef int _send(self, const char* data, Py_ssize_t size, bytes body) except -1:
        """Hand octets to the socket; queue what it does not take."""
        cdef Py_ssize_t whole = size + (0 if body is None else PyBytes_GET_SIZE(body))
        cdef ssize_t taken = 0
        if whole == 0 or self.fd < 0:
            return 0
        if self._outflow is None:
            taken = offer(self.fd, data, size, body)
            if taken == whole:
                self._burst += taken
                return 0
            if taken < 0:
                if errno != EAGAIN and errno != EINTR:
                    return self._close()
                taken = 0
            self._outflow = Outflow.__new__(Outflow)
        self._outflow.keep(data, size, body, taken)
        return 0 if self._flushes_on else self._watch_room()

    cdef int _flush(self) except -1:
        """The socket has room: hand it the queue, and see what can be done behind it."""
        self._hand_over()
        if self.fd < 0:
            return 0
        self._tell_room()
        if self._finishing and self._outflow is None:
            self._half_close()
        return 0

    cdef int _hand_over(self) except -1:
        """Hand over the queue as far as the socket takes it, and the share of the turn goes."""
        cdef Handover said = TAKEN
        cdef int calls
        for calls in range(SHARE):
            said = self._outflow.hand_over(self.fd)
            if said != TAKEN:
                break
        if said == BROKEN:
            return self.abort()
        self._flushes_on = said == TAKEN
        if self._flushes_on:
            self.poll.later(self)
        if said == FULL:
            self._watch_room()
        if self._outflow.size == 0:
            self._outflow = None
        return 0

    cdef int _watch_room(self) except -1:
        if not self._awaits_room:
            self._awaits_room = True
            self.poll.watch_room(self, True)
        return 0

    cdef int _tell_room(self) except -1:
        """Let whoever was told to wait write on, if there is room for it now."""
        cdef NativeEndpoint endpoint = self.endpoint
        if self._outflow is not None and self._outflow.files:
            return 0
        if self._full and self.queued() <= self.owner.low_water:
            self._full = False
            self._burst = 0
            if not self._finishing:
                endpoint.feed_room()
        return 0

    # --- the end -------------------------------------------------------------------------------

    cdef int _half_close(self) except -1:
        """All is written: tell the peer so, and wait for it to close, too (RFC 9112 9.6)."""
        if self._half_closed or self.fd < 0:
            return 0
        self._half_closed = True
        if self._eof:
            return self._close()
        shutdown(self.fd, SHUT_WR)
        self._wait_for_peer(self._unsent_octets())
        return 0

    cdef Py_ssize_t _unsent_octets(self) except -1:
        """In the queue, and those in the socket's buffer that the peer's window has no room for.

        The kernel tells it of TCP only (linux/sockios.h: not sent). On a unix socket nothing waits
        on our side.
        """
        cdef int held = 0
        if self.fd >= 0 and ioctl(self.fd, SIOCOUTQNSD, &held) < 0:
            held = 0
        return self.queued() + held

    cdef int _wait_for_peer(self, Py_ssize_t unsent) except -1:
        """A finished connection may stand still so long: as a reader, then to linger."""
        cdef double patience = self.owner.write_s if unsent else self.owner.linger_s
        self._unsent = unsent
        self._patience_until = self.owner.clock.now + patience
        return 0

    cdef int _close(self) except -1:
        """Close the socket; the endpoint hears of it in the next turn."""
        if self.fd >= 0:
            self._outflow = None
            self._output = 0
            self._flushes_on = False
            self.poll.close(self)
        return 0

    cdef int _lose(self) except -1:
        """Tell of the end. Without the endpoint this object is nobody's: no cycle is left."""
        cdef NativeEndpoint endpoint = self.endpoint
        if endpoint is not None:
            try:
                self.owner.lost(self)
            finally:
                self.endpoint = None
                endpoint.feed_lost()
        return 0

    # --- called by the worker and its timer ----------------------------------------------------

    cdef double due(self) except? -1:
        """The endpoint's deadline; a finished connection is looked at every tick."""
        if self._finishing:
            return -INFINITY
        if self.fd < 0:
            return INFINITY
        try:
            return self.endpoint.due()
        except BaseException as error:  # the border to the timer
            self.fail(error)
            return INFINITY

    cdef int expire(self, double passed) except -1:
        """The deadline was not behind `passed`, the end of the last whole tick."""
        cdef NativeEndpoint endpoint = self.endpoint
        if self.fd < 0:
            return 0
        try:
            if self._finishing:
                self._look_at_queue(passed)
            else:
                endpoint.expire()
        except BaseException as error:  # the border to the timer
            self.fail(error)
        return 0

    cdef int drain(self, leave) except -1:
        """Finish what is going on; see engine.contract.Endpoint.drain."""
        cdef NativeEndpoint endpoint = self.endpoint
        if self._finishing or self.fd < 0:
            return 0
        try:
            endpoint.drain(leave)
        except BaseException as error:  # the border to the worker
            self.fail(error)
        return 0

    def under_way(self, list found):
        """See engine.contract.Endpoint."""
        cdef NativeEndpoint endpoint = self.endpoint
        if endpoint is not None:
            endpoint.under_way(found)

    def reset(self, exchange):
        """See engine.contract.Endpoint."""
        cdef NativeEndpoint endpoint = self.endpoint
        if endpoint is not None:
            endpoint.reset(exchange)

    cdef int _look_at_queue(self, double passed) except -1:
        """Give a finished connection up when nothing has moved for too long."""
        cdef Py_ssize_t unsent = self._unsent_octets()
        if unsent != self._unsent:
            self._wait_for_peer(unsent)
        if self._patience_until <= passed:
            # All is sent: the kernel sees to what is on its way. Else a RST takes the rest away.
            return self.abort() if unsent else self._close()
        return 0
