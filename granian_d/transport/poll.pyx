"""An epoll of our own, which the loop watches like any other descriptor.

One turn of the loop takes a batch of events from it; no object and no callback of the loop is made
on the way. What is left in the kernel, because a batch was full, keeps the epoll readable.

Rules of this file:
- Events are edge-triggered and told once: a wire remembers what it has not used up.
- The kernel keeps bare pointers to wires. A wire stays in `_wires` until a turn that comes after
  the one in which its socket was closed, and a socket is taken out of the epoll before it is closed:
  close(2) alone does that only when no other process has a copy of it.
- In a child that the application forks the sockets are the parent's. The child closes its copies,
  and touches neither the epoll nor a socket, because it shares both.
"""

from libc.errno cimport errno
from libc.stdlib cimport free, malloc
from posix.unistd cimport close as close_fd

from granian_d.http.ticks cimport now_ns

import os
from weakref import WeakSet


cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    cdef struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
    unsigned int EPOLLET


cdef enum:
    EVENTS = 256  # taken a turn
    QUICK_NS = 50000  # what takes longer is worth a send of its own
    HELD_NS = 200000  # longest that an answer waits for others


_polls = WeakSet()


cdef class PolledWire(NativeWire):
    """A wire whose socket is watched by a Poll."""

    def __cinit__(self):
        self.fd = -1

    def __init__(self):
        raise TypeError("made for an accepted socket")

    def __dealloc__(self):
        if self.fd >= 0:
            close_fd(self.fd)

    cdef int happened(self, unsigned int events) except -1:
        """Events of the socket; it may have been closed by another one of the same batch."""
        raise NotImplementedError

    cdef int look_again(self) except -1:
        """The turn that `Poll.later` was asked for, or the first one without the socket."""
        raise NotImplementedError

    cdef int fail(self, error) except -1:
        """Something above the wire has raised: it costs this connection and no other."""
        raise NotImplementedError


    cdef int send_output(self) except -1:
        """Send what it has put into the poll's output."""
        raise NotImplementedError


cdef class Poll:
    """The sockets of a worker, and the buffers that all of them share.

    Args:
        loop: turns for them.
        wires: those whose sockets are watched; their owner adds and discards them.
        turn: is begun and ended with each of ours.
    """

    def __cinit__(self):
        self.fd = -1

    def __init__(self, loop, set wires, Turn turn not None):
        self._loop = loop
        self._wires = wires
        self._turn = turn
        self._again = []
        self._outgoing = []
        self.input = <char*>malloc(INPUT_BYTES)
        self.output = <char*>malloc(OUTPUT_BYTES)
        if self.input == NULL or self.output == NULL:
            raise MemoryError
        self.fd = epoll_create1(EPOLL_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))
        _polls.add(self)
        loop.add_reader(self.fd, self._take_events)

    def __dealloc__(self):
        if self.fd >= 0:
            close_fd(self.fd)
        free(self.input)
        free(self.output)

    cdef int fed(self, PolledWire wire, Py_ssize_t output) except -1:
        """A wire has been fed, and has put so many octets into the output.

        They wait for those of the next wires, so that the kernel is asked to send many times in a
        row and a peer with many connections is woken once. They wait only as long as all of it
        takes next to no time: behind a slow request nothing waits.
        """
        cdef long long now = now_ns()
        cdef bint quick = now - self._fed_ns < QUICK_NS
        self._fed_ns = now
        if output:
            if not self._outgoing:
                self._held_ns = now
            self._outgoing.append(wire)
            self.output_size += output
        if self._outgoing and not (
            quick and now - self._held_ns < HELD_NS and self.output_size < OUTPUT_BYTES // 2
        ):
            self._send_outputs()
            self._fed_ns = now_ns()
        return 0

    cdef int _send_outputs(self) except -1:
        cdef PolledWire wire
        outgoing, self._outgoing = self._outgoing, []
        for wire in outgoing:
            try:
                wire.send_output()
            except BaseException as error:  # the border to the loop
                wire.fail(error)
        self.output_size = 0
        return 0

    cdef int watch(self, PolledWire wire) except -1:
        """Tell the wire from now on of what arrives."""
        return self._control(EPOLL_CTL_ADD, wire, EPOLLIN | EPOLLRDHUP)

    cdef int watch_room(self, PolledWire wire, bint wanted) except -1:
        """Tell it also of room for writing, or not any more.

        Not always, for a unix socket has news of room whenever the peer has read an answer.
        """
        return self._control(
            EPOLL_CTL_MOD, wire, EPOLLIN | EPOLLRDHUP | (EPOLLOUT if wanted else 0)
        )

    cdef int close(self, PolledWire wire) except -1:
        """Close the wire's socket, and have it look again without."""
        cdef int fd = wire.fd
        wire.fd = -1
        epoll_ctl(self.fd, EPOLL_CTL_DEL, fd, NULL)
        close_fd(fd)
        return self.later(wire)

    cdef int later(self, PolledWire wire) except -1:
        """Have a wire look again in the next turn."""
        if wire.waits:
            return 0
        if not self._called:
            self._loop.call_soon(self._look_again)
            self._called = True
        wire.waits = True
        self._again.append(wire)
        return 0

    cdef int report(self, error) except -1:
        """Tell the loop of a fault of our own."""
        self._loop.call_exception_handler(
            {"message": "a connection could not go on", "exception": error}
        )
        return 0

    cdef int let_go(self) except -1:
        """Be a child of the application: close the copies, and nothing but them."""
        cdef PolledWire wire
        for wire in self._wires:
            if wire.fd >= 0:
                close_fd(wire.fd)
                wire.fd = -1
        if self.fd >= 0:
            close_fd(self.fd)
            self.fd = -1
        return 0

    def _take_events(self):
        """Take what has happened since the last turn."""
        cdef epoll_event[EVENTS] events
        cdef PolledWire wire
        cdef int index
        if self._turn.on:  # within a callback: the buffers are in use
            return
        self._turn.begin()
        self._fed_ns = now_ns()
        try:
            for index in range(epoll_wait(self.fd, events, EVENTS, 0)):
                wire = <PolledWire>events[index].data.ptr
                try:
                    wire.happened(events[index].events)
                except BaseException as error:  # the border to the loop
                    wire.fail(error)
        finally:
            self._end_turn()

    def _look_again(self):
        """Serve those who wanted another turn."""
        cdef PolledWire wire
        if self._turn.on:
            self._loop.call_soon(self._look_again)
            return
        again, self._again = self._again, []
        self._called = False
        self._turn.begin()
        self._fed_ns = now_ns()
        try:
            for wire in again:
                wire.waits = False
                try:
                    wire.look_again()
                except BaseException as error:  # the border to the loop
                    wire.fail(error)
        finally:
            self._end_turn()

    cdef int _end_turn(self) except -1:
        try:
            self._send_outputs()
        finally:
            self._turn.end()
        return 0

    cdef int _control(self, int order, PolledWire wire, unsigned int events) except -1:
        cdef epoll_event event
        event.events = events | EPOLLET
        event.data.ptr = <void*>wire
        if epoll_ctl(self.fd, order, wire.fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0


def _let_go():
    cdef Poll poll
    for poll in _polls:
        poll.let_go()


os.register_at_fork(after_in_child=_let_go)
