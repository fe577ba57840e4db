# Heads of HTTP/1.1 responses as octets.


cdef class Answer:
    cdef int status
    cdef bytes block  # the field lines, each with CRLF
    cdef long long length  # Content-Length as given; -1 when it was not
    cdef bint dated  # the application has given a Date
    cdef bint signed  # ... and a Server
    cdef bint advertised  # ... and an Alt-Svc
    cdef object options  # of the Connection field; None for none


cdef Answer judge(status, fields)
cdef int advertise(Answer answer, bytes line) except -1
cdef bytes alt_svc_line(str value)

cdef struct Framing:
    int kind  # a constant of http.framing
    long long length  # for the Content-Length field; -1 for none

cdef Framing frame(bint head_request, bint old, Answer answer, long long whole, bint trailers)

cdef bytes connection_line(Answer answer, bint persistent, bint old)
cdef bytes date_line()
cdef Py_ssize_t head_bound(Answer answer, bytes connection)
cdef Py_ssize_t write_head(
    char* to, Answer answer, Framing framing, bytes date, bytes connection
) except -1
