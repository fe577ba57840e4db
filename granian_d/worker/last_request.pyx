"""What a worker was asked for last, in its scoreboard row; see last_request.py.

A reader may find the beginning of one request before the end of another: it looks for people.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from granian_d.http.message cimport RequestHead

from granian_d.observe import scoreboard


cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef Py_ssize_t TEXT = scoreboard.TEXT
cdef Py_ssize_t LAST_NS = scoreboard.LAST_NS
cdef Py_ssize_t ROOM = scoreboard.TEXT_WORDS * 8


cdef class LastRequest:
    """The place for it in a row."""

    def __init__(self, row):
        if len(row) < TEXT + ROOM // 8:
            raise ValueError("a row without room for it")
        self._row = row  # held, for the pointers into it
        self._last_ns = &self._row[LAST_NS]
        self._text = <char*>&self._row[TEXT]
        self._used = ROOM  # nobody knows what is there

    cpdef begun(self, Exchange exchange):
        """Write down when it began, its method and its path."""
        cdef RequestHead head = exchange.head
        cdef Py_ssize_t at, size
        cdef const char* method = PyUnicode_AsUTF8AndSize(head.method, &at)
        self._last_ns[0] = exchange.started_ns
        at = min(at, ROOM - 1)
        memcpy(self._text, method, at)
        self._text[at] = c" "
        at += 1
        size = min(PyBytes_GET_SIZE(head.raw_path), ROOM - at)
        memcpy(self._text + at, PyBytes_AS_STRING(head.raw_path), size)
        at += size
        if at < self._used:
            memset(self._text + at, 0, self._used - at)
        self._used = at
