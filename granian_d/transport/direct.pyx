"""The connections of a worker on their own sockets, without the loop in between.

Whatever the loop is, uvloop or asyncio's, the path is the same: socket, `poll`, `connection`, engine.
"""

from libc.math cimport INFINITY

from granian_d.engine.native.wire cimport native_endpoint
from granian_d.http.message cimport Peer
from granian_d.transport.connection cimport DirectConnection, Owner
from granian_d.transport.poll cimport Poll

from granian_d.transport import deadlines as ticking
from granian_d.transport import tcp


cdef class DirectConnections(Owner):
    """The open connections of a worker; see transport.tcp.StreamConnections.

    Args:
        service: where its exchanges go.
        limits: what one peer may cost.
        deadlines: the worker's coarse timer.
        changed: is told the number of open connections whenever it changes.
        loop: turns for them.
        turn: is on while they are worked on.

    Raises:
        OSError: the kernel gives no epoll.
    """

    cdef readonly set open
    cdef readonly object deadlines
    cdef object _service
    cdef object _limits
    cdef object _changed
    cdef object _leave  # None until it is known

    def __init__(self, service, limits, deadlines, changed, loop, turn):
        self.open = set()
        self.deadlines = deadlines
        self._service = service
        self._limits = limits
        self._changed = changed
        self.clock = deadlines.clock
        self.high_water = tcp.HIGH_WATER_BYTES
        self.low_water = self.high_water // 4
        self.write_s = limits.write_timeout_s or INFINITY
        self.linger_s = tcp.LINGER_S
        self.poll = Poll(loop, self.open, turn)

    def take(self, sock, loop, maker):
        """Make a connection of an accepted socket."""
        cdef DirectConnection connection = DirectConnection.__new__(DirectConnection)
        try:
            peer = tcp.peer_of_names(sock.getsockname(), sock.getpeername())
        except OSError:  # it has gone already
            sock.close()
            return
        connection.owner = self
        connection.poll = self.poll
        connection.fd = sock.detach()
        if not self.open:
            self.deadlines.add(self)  # starts the clock that the first deadline is read from
        try:
            self._begin(connection, peer, maker)
        except BaseException as error:  # the border to the engine
            connection.fail(error)
        finally:
            if not self.open:
                self.deadlines.discard(self)

    @property
    def deadline(self):
        """Every tick is one: `expire` looks at all connections, in C."""
        return 0.0

    def expire(self):
        """See which of the connections have waited for too long."""
        cdef DirectConnection connection
        cdef double passed = self.clock.now - ticking.TICK_S
        cdef list overdue = []
        for connection in self.open:
            if connection.due() <= passed:
                overdue.append(connection)
        for connection in overdue:
            connection.expire(passed)

    def under_way(self):
        """The exchanges of all of them that have begun and are not over."""
        cdef DirectConnection connection
        cdef list found = []
        for connection in self.open:
            if connection.endpoint is not None:
                connection.endpoint.under_way(found)
        return found

    def drain(self, leave):
        """Drain those that are open, and those still to come out of the accept queue."""
        cdef DirectConnection connection
        self._leave = leave
        for connection in list(self.open):
            connection.drain(leave)

    cdef int _begin(self, DirectConnection connection, Peer peer, maker) except -1:
        """Make the endpoint that will speak on the socket, and have the socket watched."""
        connection.endpoint = native_endpoint(
            maker(connection, peer, self._service, self._limits, self.clock)
        )
        self.open.add(connection)
        self._changed(len(self.open))
        if connection.fd >= 0:
            self.poll.watch(connection)
        if self._leave is not None:
            connection.drain(self._leave)
        return 0

    cdef int lost(self, DirectConnection connection) except -1:
        self.open.discard(connection)
        if not self.open:
            self.deadlines.discard(self)
        self._changed(len(self.open))
        return 0
