# cython: freelist=64
"""An Exchange on HTTP/1.x in C: what the application answers becomes octets.

The rules and the names are those of `engine.pure.h1_exchange`, its reference. Heads and small
bodies are put together in one buffer and handed to the wire before anything else can run.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdio cimport snprintf
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from granian_d.engine.native.answer cimport (
    Answer,
    Framing,
    advertise,
    connection_line,
    date_line,
    frame,
    head_bound,
    judge,
    write_head,
)
from granian_d.engine.native.h1 cimport H1Endpoint
from granian_d.engine.native.wire cimport FileSpan
from granian_d.http.exchange cimport Exchange

import os
from functools import partial

from granian_d.engine.pure import h1_answer
from granian_d.errors import Disconnected, FlowError, InvalidResponse
from granian_d.http import semantics, states

cdef enum:
    JOINED_BYTES = 65536  # pieces up to this size are joined for one write
    AWAITED = 0  # the constants of http.states; checked below
    STARTED = 1
    FINISHED = 2
    ABORTED = 3
    TUNNEL = 4
    NO_BODY = 0  # the constants of http.framing; checked in answer.pyx
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3

assert (states.AWAITED, states.STARTED, states.FINISHED, states.ABORTED, states.TUNNEL) == (
    AWAITED, STARTED, FINISHED, ABORTED, TUNNEL
)

cdef dict _NEXT = states.NEXT

# Where heads of answers are put together. One buffer for the thread that runs the loop: nothing
# else runs between filling it and handing it to the wire.
cdef char* _scratch = NULL
cdef Py_ssize_t _scratch_size = 0


cdef char* _reserve(Py_ssize_t size) except NULL:
    global _scratch, _scratch_size
    if size > _scratch_size:
        grown = <char*>realloc(_scratch, size)
        if grown == NULL:
            raise MemoryError
        _scratch = grown
        _scratch_size = size
    return _scratch


_reserve(JOINED_BYTES + 4096)


cdef class H1Exchange(Exchange):
    """One request with its response; see http.exchange and engine.pure.h1_exchange."""

    def __init__(self):
        raise TypeError("made by its endpoint")

    # --- the response --------------------------------------------------------------------------

    cpdef inform(self, object status, fields):
        """Send an interim response; see Exchange."""
        self._demand("inform")
        kept = semantics.judge_interim(status, fields)
        if self._old or self.head_out:
            return  # RFC 9110 15.2; nothing interim comes behind the head of a final response
        self.continued = self.continued or status == 100
        self._endpoint.write(NULL, 0, h1_answer.interim(status, kept))

    cpdef start(self, object status, fields):
        """Give the head of the response, which is held back; see Exchange."""
        if self.state != AWAITED:
            self._demand("start")
        self._answer = judge(status, fields)
        if self._endpoint._terms.alt_svc is not None:
            advertise(self._answer, self._endpoint._terms.alt_svc)
        self.state = STARTED
        self.status = self._answer.status

    cpdef bint send(self, data, bint last=False) except -1:
        """Send a part of the body; see Exchange."""
        if self.state != STARTED:
            self._demand("send")
        if not isinstance(data, bytes):
            raise InvalidResponse(f"a body of {type(data).__name__} instead of bytes")
        return self._put(<bytes>data, last, None)

    cpdef finish(self, trailers=()):
        """End the response; see Exchange."""
        self._demand("finish")
        kept = semantics.judge_trailers(trailers)
        if not semantics.takes_trailers(self.head.fields):
            kept = []  # RFC 9110 6.5.1
        self._put(b"", True, kept)

    def send_file(self, fd, offset, count, done):
        """Send a part of a file; see Exchange."""
        cdef FileSpan file
        if self.state == STARTED and not semantics.has_content(self.head.method, self.status):
            self.finish()  # without reading what will not be sent
            done(True)
            return
        if self.state == STARTED and count > 0 and self._endpoint._wire.takes_files:
            file = FileSpan(fd, offset, count)
            if self._may_pass_on(file):
                self._pass_on(file)
                self._file_moved(file, count, done)
                return
        Exchange.send_file(self, fd, offset, count, done)

    cpdef tunnel(self, fields, make):
        """Accept the other protocol that was asked for; see Exchange."""
        self._demand("tunnel")
        if not self.head.protocol:
            raise FlowError("no other protocol was asked for")
        kept = semantics.judge_switch(fields)
        self.state = TUNNEL
        self.status = 101
        self._endpoint.become(h1_answer.switching(self.head.protocol, kept), make)

    cpdef abort(self):
        """Cut the exchange; see Exchange."""
        if self.state != AWAITED and self.state != STARTED:
            return
        self.state = ABORTED
        self._endpoint.cut(self)

    cpdef fail(self):
        """End the exchange after a fault of the application; see Exchange."""
        if self.state == STARTED and not self.head_out:
            self.state = AWAITED  # nobody has seen that start: a 500 can take its place
        Exchange.fail(self)

    # --- told by the endpoint ------------------------------------------------------------------

    cdef int lose(self, error) except -1:
        """The connection is no more there for this exchange."""
        if self.state != FINISHED:
            self.state = ABORTED
        if error is not None:
            self.feed_error(error)
        self.feed_gone()
        return 0

    cdef int overrule(self, violation, Py_ssize_t body_bytes, error) except -1:
        """The engine has answered in the application's place."""
        self.status = violation.http_status
        self.sent_bytes = body_bytes
        return self.lose(error)

    # --- told by Exchange ----------------------------------------------------------------------

    cpdef _part_taken(self, bytes part):
        self._endpoint.part_taken(self, PyBytes_GET_SIZE(part))

    cpdef _body_wanted(self):
        self._endpoint.body_wanted(self)

    # --- inside --------------------------------------------------------------------------------

    cdef int _demand(self, str move) except -1:
        """Refuse a move for which it is too late or too early, before anything else is judged."""
        if self.state == ABORTED:
            raise Disconnected("the connection is closed")
        if move not in <dict>_NEXT[self.state]:
            raise FlowError(f"cannot {move}: the response is {states.NAMES[self.state]}")
        return 0

    cdef bint _put(self, bytes data, bint last, list trailers) except -1:
        """Write a part of the body, and what must stand before and behind it."""
        cdef Py_ssize_t count = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t size = 0
        cdef bytes body = None
        cdef bytes tail = b""
        cdef bytes date = None
        cdef bytes connection = None
        cdef bint room
        cdef char* to
        self._check_length(count, last)
        if trailers:
            tail = b"".join([b"%b: %b\r\n" % field for field in trailers])
        if not self.head_out:
            connection = self._open(count if last else -1, PyBytes_GET_SIZE(tail) > 0)
            date = date_line()
            size = head_bound(self._answer, connection)
        # From here to the write no object is made: nothing can come between and want the buffer.
        to = _reserve(size + JOINED_BYTES + 64 + PyBytes_GET_SIZE(tail))
        size = 0
        if date is not None:
            size = write_head(to, self._answer, self._framing, date, connection)
        if count and self._framing.kind != NO_BODY:
            self.sent_bytes += count
            if self._framing.kind == CHUNKED:
                size += snprintf(to + size, 24, b"%zx\r\n", count)
            elif self._left_of_answer >= 0:
                self._left_of_answer -= count
            if count <= JOINED_BYTES:
                memcpy(to + size, PyBytes_AS_STRING(data), count)
                size += count
            else:
                body = data
        if self._framing.kind == CHUNKED:
            if body is not None:
                self._endpoint.write(to, size, body)
                to = _scratch
                body = None
                size = 0
            if count:
                memcpy(to + size, b"\r\n", 2)
                size += 2
            if last:
                memcpy(to + size, b"0\r\n", 3)
                memcpy(to + size + 3, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail))
                size += 3 + PyBytes_GET_SIZE(tail)
                memcpy(to + size, b"\r\n", 2)
                size += 2
        room = self._endpoint.write(to, size, body)
        if last:
            self.state = FINISHED
            self._endpoint.answered(self)
        return room

    cdef bint _may_pass_on(self, FileSpan file) except -1:
        """Whether the file is all of the body that is left, and goes out as it is."""
        if not self.head_out:
            return self._answer.length == file.left and file.is_there()
        if self._framing.kind == LENGTH:
            return self._left_of_answer == file.left and file.is_there()
        return self._framing.kind == UNTIL_CLOSE and file.is_there()

    cdef int _pass_on(self, FileSpan file) except -1:
        """Give the file to the wire, behind what must stand before it."""
        cdef bytes head = b""
        cdef bytes connection
        cdef bytes date
        cdef char* to
        if not self.head_out:
            connection = self._open(-1, False)
            date = date_line()
            to = _reserve(head_bound(self._answer, connection))
            head = PyBytes_FromStringAndSize(
                to, write_head(to, self._answer, self._framing, date, connection)
            )
        self.passed_on = True
        self._endpoint.write_file(head, file)
        return 0

    def _file_moved(self, FileSpan file, count, done):
        """Some of the file has been sent, all of it, or it never will be."""
        cdef bint whole = self.state == STARTED and file.left == 0
        if self.state == STARTED and not whole:
            self.when_room(partial(self._file_moved, file, count, done))
            return
        self.sent_bytes += count - file.left
        if whole:
            self.state = FINISHED
            self._endpoint.answered(self)
        elif file.error:
            self.observer.crashed(self, OSError(file.error, os.strerror(file.error)))
        done(whole)

    cdef int _check_length(self, Py_ssize_t count, bint last) except -1:
        """Refuse a body that breaks the length that was declared for it."""
        cdef long long left = self._left_of_answer
        cdef int status
        if not self.head_out:
            status = self._answer.status
            if self._head_request or status == 204 or status == 205 or status == 304:
                return 0
            left = self._answer.length
        elif self.passed_on:
            self.abort()  # the caller of `send_file` has its file back, so the wire must not need it
            raise InvalidResponse("a file is being sent as the rest of the body")
        if left < 0 or not (count > left or (last and count < left)):
            return 0
        if self.head_out:
            self.abort()  # RFC 9112 6.3: the peer must not take it for complete
        raise InvalidResponse(f"a body of {'more' if count > left else 'less'} than Content-Length")

    cdef bytes _open(self, long long whole, bint trailers):
        """Decide on the framing, now that as much as can be is known; returns the Connection line."""
        cdef Answer answer = self._answer
        self._framing = frame(self._head_request, self._old, answer, whole, trailers)
        self._left_of_answer = self._framing.length if self._framing.kind == LENGTH else -1
        self.persistent = (
            self._framing.kind != UNTIL_CLOSE
            and (answer.options is None or b"close" not in answer.options)
            and self._endpoint.may_persist(self, whole >= 0)
        )
        self.head_out = True
        return connection_line(answer, self.persistent, self._old)
