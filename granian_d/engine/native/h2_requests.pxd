# The streams of an HTTP/2 connection, and the requests on them.

from granian_d.engine.native.h2_exchange cimport H2Exchange
from granian_d.engine.native.h2_head cimport Wishes
from granian_d.engine.native.h2_inflow cimport H2Inflow
from granian_d.engine.native.hpack cimport Decoder
from granian_d.http.message cimport RequestHead


cdef enum:
    REMEMBERED_STREAMS = 256  # that have begun; a power of two


cdef class H2Requests(H2Inflow):
    cdef object _service
    cdef object _serve_it
    cdef Decoder _decoder
    # The last block that left the decoder's table as it was: an equal one means the same.
    cdef bytes _known_block
    cdef RequestHead _known_head
    cdef Wishes _known_wishes
    cdef bint _known_ended
    cdef unsigned long long _known_changes
    # Streams
    cdef dict _closed  # how those were closed that have not just ended, by their numbers
    cdef dict _early  # priorities of streams that have not begun
    cdef unsigned int[REMEMBERED_STREAMS] begun  # the latest ones, each at a place of its own
    cdef unsigned int _last_served
    cdef int tunnels  # streams in which another protocol is spoken
    # Windows of the peer
    cdef long long _left  # of the connection
    cdef long long _credit
    cdef long long _connection_target
    cdef long long _stream_target
    cdef long long _first_recv  # of a new stream
    cdef long long _came  # octets of bodies, since the beginning of a round trip
    cdef bint _measuring
    # The end
    cdef bint _eof
    cdef bint _peer_leaves
    cdef bint _deaf  # new streams are passed over, as GOAWAY has said
    cdef object _terms  # of the drain
    cdef double _parting_since
    cdef double _part_at  # INFINITY: nothing is to be said
    cdef double _idle_since
    cdef double _pinged_at  # INFINITY: no ack is awaited

    cdef RequestHead _read_head(
        self, H2Exchange exchange, bint ended, const char* data, Py_ssize_t size
    )
    cdef RequestHead _judge(self, H2Exchange exchange, bint ended, Wishes* wishes)
    cdef int _begin(self, unsigned int number, int flags, const char* data, Py_ssize_t size) except -1
    cdef int _refuse(self, H2Exchange exchange, violation) except -1
    cdef int _read_trailers(
        self, H2Exchange exchange, int flags, const char* data, Py_ssize_t size
    ) except -1
    cdef int _drop_block(self, const char* data, Py_ssize_t size) except -1
    cdef int _on_closed(self, unsigned int number) except -1
    cdef int _pass_over(self, unsigned int number, int flags) except -1
    cdef int _give(self, H2Exchange exchange, const char* data, Py_ssize_t size) except -1
    cdef int _end_body(self, H2Exchange exchange) except -1
    cdef int break_body(self, H2Exchange exchange, violation) except -1
    cdef int close_stream(self, H2Exchange exchange, int how) except -1
    cdef int lose_stream(self, H2Exchange exchange, error) except -1
    cdef int _finished(self, H2Exchange exchange) except -1
    cdef int _credit_connection(self, long long count) except -1
    cdef int _credit_stream(self, H2Exchange exchange, long long count) except -1
    cdef int part(self) except -1
    cdef int schedule(self) except -1
    cdef int _probe(self, Py_ssize_t count) except -1
    cdef int measured(self, const char* payload) except -1
    cdef int _converse(self, H2Exchange exchange) except -1
    cdef int remember(self, unsigned int number, int how) except -1
